"""The two sets of queries of a sweep."""

from __future__ import annotations

import pytest

from sidecar.core.errors import InputError
from sidecar.experiments.query_split import split_by_file, split_by_seed

QIDS = [f"q{n}" for n in range(10)]


def test_a_seed_draws_the_same_queries_in_any_order():
    found = split_by_seed(QIDS, 0.3, 7)
    assert found == split_by_seed(QIDS[::-1], 0.3, 7)
    assert (len(found.choose), len(found.report)) == (3, 7)
    assert sorted([*found.choose, *found.report]) == QIDS
    assert found.about == "a fraction of 0.3, seed 7"
    assert {split_by_seed(QIDS, 0.3, seed).choose[0] for seed in range(20)} > {found.choose[0]}


@pytest.mark.parametrize(
    "content", ["q1\nq5\n", "q1\twhat is\nq5\twhy\n", '{"_id": "q1"}\n{"qid": "q5", "text": "x"}\n']
)
def test_a_file_names_the_queries_to_choose_by(tmp_path, content):
    (tmp_path / "ids").write_text(content)
    found = split_by_file(QIDS, tmp_path / "ids")
    assert (found.choose, found.report) == (["q1", "q5"], ["q0", "q2", "q3", "q4", "q6", "q7", "q8", "q9"])


def test_foreign_queries_of_the_file_are_counted(tmp_path):
    (tmp_path / "ids").write_text("q1\nother\n")
    assert "(1 others of it have no topic or judgement here)" in split_by_file(QIDS, tmp_path / "ids").about


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q1\nq2\nq1\n", r"ids:3: the query 'q1' was there before, in .*ids:1"),
        ("", "holds no query id"),
        ("other\n", "no judged query is left to choose by"),
        ("".join(f"{qid}\n" for qid in QIDS), "no judged query is left to report on"),
        ('{"text": "x"}\n', "ids:1: no id"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(tmp_path, content, message):
    (tmp_path / "ids").write_text(content)
    with pytest.raises(InputError, match=message):
        split_by_file(QIDS, tmp_path / "ids")


def test_a_fraction_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="to choose by"):
        split_by_seed(QIDS, 0.01, 0)
