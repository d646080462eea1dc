"""Training files: the shapes that are about, and every fault with its file and line."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
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
        ({"query": "q", "positive_passages": 3, "negative_passages": []}, "`positive_passages` is not a list"),
        ({"query": " ", "positive_passages": [], "negative_passages": []}, "the query is empty"),
        ({"query": "q", "positive_passages": [{"text": "t"}], "negative_passages": []}, "no `docid`"),
        ({"query": "q", "positive_passages": [passage("a")], "negative_passages": [passage("a")]}, "two labels"),
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


TEXTS = [Passage("", "good"), Passage("", "bad"), Passage("", "worse")]


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        ([{"query": "q", "pos": ["good"], "neg": ["bad", "worse"]}], [1, 0, 0]),
        ([{"anchor": "q", "positive": "good", "negative_1": "bad", "negative_2": "worse"}], [1, 0, 0]),
        ([{"question": "q", "positive": {"text": "good"}, "negative": ["bad", "worse"]}], [1, 0, 0]),
        ([{"query": "q", "docs": ["good", "bad", "worse"], "labels": [2.0, "1", 0]}], [2, 1, 0]),
        (
            [
                {"query": "q", "passage": "good", "label": 1.0},
                {"sentence1": "q", "sentence2": "bad", "score": "0"},
                {"query": "q", "answer": "worse", "label": False},
            ],
            [1, 0, 0],
        ),
        ([{"query_id": "1", "query": "q", "candidates": [
            {"docid": "a", "text": "good", "label": 1.0}, {"docid": "b", "text": "bad", "label": "0"},
            {"docid": "c", "text": "worse", "label": 0}]}], [1, 0, 0]),
        ([
            {"qid": "1", "query": "q", "docno": "a", "text": "good", "rank": 1, "label": 1},
            {"qid": "1", "query": "q", "docno": "b", "text": "bad", "rank": 2, "label": 0},
            {"qid": "1", "query": "q", "docno": "c", "text": "worse", "rank": 3, "label": 0}], [1, 0, 0]),
    ],
)  # fmt: skip
def test_training_files_of_other_libraries(tmp_path, lines, labels):
    [group], _ = read(written(tmp_path / "t.jsonl", *lines))
    assert (group.query, list(group.passages), list(group.labels)) == ("q", TEXTS, labels)
    assert len(set(group.docids)) == 3


def test_ms_marcos_triples_of_texts(tmp_path):
    (tmp_path / "t.tsv").write_text("q\tgood\tbad\nq\tgood\tworse\n")
    groups, _ = read(tmp_path / "t.tsv")
    assert [(one.query, list(one.passages), one.labels) for one in groups] == [
        ("q", TEXTS[:2], [1, 0]),
        ("q", [TEXTS[0], TEXTS[2]], [1, 0]),
    ]
    # A text has the same name wherever it stands, so that a teacher's score of it is found.
    assert groups[0].docids[0] == groups[1].docids[0]
    (tmp_path / "ids.tsv").write_text("121352\t2912791\t7134595\n")
    with pytest.raises(InputError, match="ids.tsv:1: ends in a number: a triple of ids"):
        read(tmp_path / "ids.tsv")


def test_a_positive_among_the_negatives_is_refused_or_dropped_and_a_passage_listed_twice_counts_once(tmp_path):
    line = {"query": "q", "pos": ["good"], "neg": ["bad", "good", "bad"]}
    path = written(tmp_path / "t.jsonl", line)
    with pytest.raises(InputError, match=f"{re.escape(str(path))}:1: .* with two labels(.|\n)*--drop-contradictions"):
        read(path)
    refuse = Refusals(drop=False, counts={}, drop_contradictions=True)
    [group] = read_training(path, PassageFields(), refuse)
    assert (list(group.passages), list(group.labels)) == (TEXTS[:2], [1, 0])
    assert refuse.counts == {
        "negatives left out that are positives of the same query": 1,
        "passages left out that are listed twice for their query": 1,
    }


def test_scores_of_another_trainer_are_named_as_unused(tmp_path):
    path = written(tmp_path / "t.jsonl", {"query": "q", "pos": ["good"], "neg": ["bad"], "pos_scores": [0.9]})
    refuse = Refusals(drop=False, counts={})
    list(read_training(path, PassageFields(), refuse))
    assert refuse.unused == {"pos_scores"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"query": "q", "candidates": [passage("a", label=0.7)]}, "the query has no id"),
        ({"query_id": "1", "query": "q", "candidates": [passage("a", label=0.7)]}, "'a' has the label 0.7"),
        ({"query_id": "1", "query": "q", "candidates": [passage("a", label="good")]}, "'a' has the label 'good'"),
        ({"query": "q", "passage": "x", "label": 0.5}, "has the label 0.5"),
        ({"query": "q", "docs": ["a", "b"], "labels": [1]}, "1 labels for 2 passages"),
        ({"query": "q", "positive": "x"}, "no negative"),
        ({"query": 3, "pos": ["x"], "neg": ["y"]}, "no query"),
        ({"query": "q", "pos": "x", "neg": ["y"]}, "`pos` is not a list"),
        ({"query": "q", "pos": [1], "neg": ["y"]}, "neither a text nor an object"),
    ],
)
def test_malformed_lines_of_other_libraries_are_named(tmp_path, line, message):
    with pytest.raises(InputError, match=f":1: .*{message}"):
        read(written(tmp_path / "t.jsonl", line))


def test_an_empty_training_file_is_an_error(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n")
    with pytest.raises(InputError, match="holds no query"):
        read(tmp_path / "t.jsonl")
