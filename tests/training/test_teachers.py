"""Teacher scores: written once, resumed, mixed, and never missing unnoticed."""

from __future__ import annotations

import json

import pytest

from sidecar.core.candidates import Score
from sidecar.core.errors import InputError
from sidecar.experiments.journal import Journal
from sidecar.training.teachers import (
    Weighted,
    check_texts,
    mixed,
    publish_scores,
    read_scores,
    standardized,
    teach,
    without_false_negatives,
)
from tests.support.training.groups import group

GROUPS = [group(1, 0, 0), group(0, 1, qid="2", query="another", texts=["long text", "t"])]


class Counting:
    """Scores a passage by its length, and dies at a query if told to."""

    def __init__(self, dies_at=None):
        self.asked, self.dies_at = [], dies_at

    def __call__(self, asked):
        for key, (query, passages) in asked:
            if query == self.dies_at:
                raise KeyboardInterrupt
            self.asked.append(query)
            yield key, [Score(float(len(passage.text))) for passage in passages]


def test_what_was_scored_before_a_kill_is_not_scored_again(tmp_path):
    output = tmp_path / "scores.jsonl"
    with pytest.raises(KeyboardInterrupt), Journal(output, {}, resume=False) as journal:
        teach(GROUPS, Counting(dies_at="another"), "length", journal, lambda _: None)
    assert not output.exists()
    teacher, counts = Counting(), []
    with Journal(output, {}, resume=True) as journal:
        teach(GROUPS, teacher, "length", journal, counts.append)
        publish_scores(journal, output)
    assert (teacher.asked, counts) == (["another"], [2])
    assert read_scores(output) == {"a query": {"d1": 10, "d2": 10, "d3": 10}, "another": {"d1": 9, "d2": 1}}
    assert [path.name for path in tmp_path.iterdir()] == ["scores.jsonl"]


def test_one_teacher_speaks_as_it_is_and_several_in_deviations():
    one = Weighted({"a query": {"d1": 5.0, "d2": 1.0, "d3": 0.0}, "another": {"d1": 1.0, "d2": 3.0}}, 1.0, "one")
    two = Weighted({"a query": {"d1": 7.0, "d2": 7.0, "d3": 7.0}, "another": {"d1": 0.9, "d2": 0.1}}, 3.0, "two")
    assert mixed(GROUPS, [one], standardize=False) == [[5.0, 1.0, 0.0], [1.0, 3.0]]
    assert mixed(GROUPS, [one], standardize=True)[1] == [-1.0, 1.0]
    both = mixed(GROUPS, [one, two], standardize=False)
    assert both[1] == pytest.approx([0.25 * -1 + 0.75 * 1, 0.25 * 1 + 0.75 * -1])
    # Equal scores prefer nothing.
    assert both[0] == pytest.approx([0.25 * value for value in standardized([5, 1, 0])])


def test_two_texts_under_one_id_have_no_score_in_common():
    groups = [group(1, 0, texts=["one", "two"]), group(1, 0, texts=["one", "another"])]
    check_texts([groups[0], groups[0]])
    teacher = Weighted({"a query": {"d1": 2.0, "d2": 1.0}}, 1.0, "one")
    with pytest.raises(InputError, match="query '1' lists document 'd2' with another text than "):
        mixed(groups, [teacher], standardize=False)


def test_missing_scores_are_counted_and_named():
    teacher = Weighted({"a query": {"d1": 1.0, "d3": 2.0}, "another": {}}, 1.0, "t.jsonl")
    with pytest.raises(
        InputError, match=r"t\.jsonl lacks the scores of 3 passages: query '1' \(train\.jsonl:1\), .*'d2'"
    ):
        mixed(GROUPS, [teacher], standardize=False)


@pytest.mark.parametrize("line", ['{"query": "q"}', "nonsense", '{"query": "q", "scores": {"d": 1e999}}'])
def test_malformed_scores_are_named_by_line(tmp_path, line):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"query": "p", "scores": {"d": 1}}) + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"t\.jsonl:2: "):
        read_scores(path)


def test_negatives_that_teachers_hold_for_relevant_are_left_out():
    judged = group(1, 0, 0, 0)
    kept, scores, out = without_false_negatives(judged, [4.0, 5.0, 3.9, 0.0], 0.0)
    assert (kept.docids, scores, out) == (["d1", "d3", "d4"], [4.0, 3.9, 0.0], 1)
    kept, _, out = without_false_negatives(judged, [4.0, 5.0, 3.9, 0.0], 0.5)
    assert (kept.docids, out) == (["d1", "d4"], 2)
