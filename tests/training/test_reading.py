"""Training files: the shapes that are about, and every fault with its file and line."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from sidecar.documents import PassageFields
from sidecar.errors import InputError
from sidecar.training.groups import statistics
from sidecar.training.reading import Refusals, read_training


def passage(docid, text="some text", **more):
    return {"docid": docid, "title": "", "text": text, **more}


def written(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def read(path, *, drop=False, **options):
    refuse = Refusals(drop=drop, counts={})
    return list(read_training(path, PassageFields(), refuse, **options)), refuse.counts


def test_tevatrons_shape_is_read_gzipped_too(tmp_path):
    line = {
        "query_id": 7,
        "query": "fleas",
        "positive_passages": [passage("a", "fleas live", title="Flea")],
        "negative_passages": [passage("b"), passage("c")],
    }
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress((json.dumps(line) + "\n").encode()))
    [group], _ = read(path)
    assert (group.qid, group.query, group.docids, group.labels) == ("7", "fleas", ["a", "b", "c"], [1, 0, 0])
    assert (group.passages[0].title, group.passages[0].text) == ("Flea", "fleas live")
    assert group.source == f"{path}:1"


def test_labelled_lists_keep_their_grades_and_lose_what_nobody_judged(tmp_path):
    candidates = [passage("a", label=3), passage("b", label=0), passage("c"), passage("d", label=1), passage("e", " ")]
    path = written(tmp_path / "lists.jsonl", {"query_id": "1", "query": "q", "candidates": candidates})
    [group], _ = read(path)
    assert (group.docids, group.labels) == (["a", "b", "d"], [3, 0, 1])
    [group], _ = read(path, labelled=False)
    assert (group.docids, group.labels) == (["a", "b", "c", "d"], [3, 0, None, 1])


def test_qrels_judge_candidates_without_labels(tmp_path):
    path = written(
        tmp_path / "lists.jsonl", {"query_id": "1", "query": "q", "candidates": [passage("a"), passage("b")]}
    )
    [group], _ = read(path, qrels={"1": {"b": 2}})
    assert group.labels == [0, 2]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([], r"query '1' has no passage with text and a label"),
        ([passage("a", label=1)], r"has one passage with text and a label, and needs two"),
        ([passage("a", label=1), passage("b", label=1)], r"has one label on all its passages"),
    ],
)
def test_groups_that_teach_nothing_are_refused_by_file_and_line_or_dropped_and_counted(tmp_path, candidates, message):
    good = {"query_id": "0", "query": "q", "candidates": [passage("a", label=1), passage("b", label=0)]}
    path = written(tmp_path / "l.jsonl", good, {"query_id": "1", "query": "q", "candidates": candidates})
    with pytest.raises(InputError, match=f"{re.escape(str(path))}:2: .*{message}"):
        read(path)
    groups, counts = read(path, drop=True)
    assert [group.qid for group in groups] == ["0"]
    assert list(counts.values()) == [1]


@pytest.mark.parametrize("label", [-1, 11])
def test_labels_out_of_range_are_refused(tmp_path, label):
    line = {"query_id": "1", "query": "q", "candidates": [passage("a", label=label), passage("b", label=0)]}
    path = written(tmp_path / "l.jsonl", line)
    with pytest.raises(InputError, match=f":1: document 'a' of query '1' has the label {label}"):
        read(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"query": "q", "positive_passages": 3, "negative_passages": []}, "no training query"),
        ({"query": " ", "positive_passages": [], "negative_passages": []}, "the query is empty"),
        ({"query": "q", "positive_passages": [{"text": "t"}], "negative_passages": []}, "no `docid`"),
        ({"query": "q", "positive_passages": [passage("a")], "negative_passages": [passage("a")]}, "listed twice"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    path = written(tmp_path / "t.jsonl", line)
    with pytest.raises(InputError, match=f":1: .*{message}"):
        read(path)


def test_statistics_say_how_much_there_is_of_what(tmp_path):
    lists = [
        {"query_id": "1", "query": "q", "candidates": [passage("a", label=1), passage("b", label=0)]},
        {"query_id": "2", "query": "r", "candidates": [passage(n, label=int(n == "a")) for n in "abc"]},
    ]
    groups, _ = read(written(tmp_path / "l.jsonl", *lists))
    assert str(statistics(groups)) == "2 queries, 5 passages (2–3 a query), labels 3 × 0, 2 × 1"
