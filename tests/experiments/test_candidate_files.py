"""Both shapes of candidate files, and what is said of a malformed one."""

from __future__ import annotations

import json

import pytest

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.candidate_lists import CandidateList


@pytest.fixture
def read(tmp_path):
    def read_text(text: str) -> list[CandidateList]:
        path = tmp_path / "candidates.jsonl"
        path.write_text(text, encoding="utf-8")
        return list(read_candidates(path, PassageFields()))

    return read_text


CASTORINI = '{"query": {"text": "flea life", "qid": 7}, "candidates": [{"docid": "d9", "score": 2.5, "doc": %s}]}\n'


@pytest.mark.parametrize(
    ("doc", "passage"),
    [
        ('{"title": "Flea", "contents": "lives", "n": 0.10}', Passage("Flea", "lives")),
        (r'"{\"pid\": \"d9\", \"passage\": \"lives\"}"', Passage("", "lives")),
        ('"plain {text}"', Passage("", "plain {text}")),
        ('"{text in braces}"', Passage("", "{text in braces}")),
        ("null", Passage("", "")),
        ('{"title": "", "text": " ", "contents": "second field"}', Passage("", "second field")),
    ],
)
def test_castorinis_shape(read, doc, passage):
    (found,) = read(CASTORINI % doc)
    assert (found.qid, found.query) == ("7", "flea life")
    assert found.candidates == [Candidate("d9", 1, 2.5, passage)]
    assert found.docs == [doc.encode()]


def test_the_flat_shape(read):
    (found,) = read(
        '{"query_id": "q", "query": "flea", "candidates": ['
        '{"docid": 3, "score": 2, "title": "t", "text": "x"}, {"docid": "4", "score": 1, "title": "", "text": "y"}]}'
    )
    assert found.candidates == [
        Candidate("3", 1, 2.0, Passage("t", "x")),
        Candidate("4", 2, 1.0, Passage("", "y")),
    ]
    assert found.docs == [b'{"title":"t","text":"x"}', b'{"title":"","text":"y"}']


def test_missing_scores_count_down(read):
    (found,) = read('{"query_id": "q", "query": "x", "candidates": [{"docid": "a"}, {"docid": "b"}]}')
    assert [(c.score, c.passage) for c in found.candidates] == [(2.0, Passage("", "")), (1.0, Passage("", ""))]


def test_an_empty_list_is_a_list(read):
    (found,) = read('{"query_id": "q", "query": "x", "candidates": []}')
    assert found.candidates == []


GOOD = '{"query_id": "q", "query": "x", "candidates": []}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "\n{broken\n", r"candidates.jsonl:3: no candidate list"),
        (GOOD + '{"query": "x", "candidates": []}', r"candidates.jsonl:2: the query has no id"),
        (GOOD + GOOD, r"candidates.jsonl:2: query 'q' was already listed"),
        (GOOD.replace('"x"', '" "'), r"candidates.jsonl:1: the query 'q' is empty"),
        ('{"query_id": "q", "query": "x"}', r"candidates.jsonl:1: .*`candidates`"),
        (
            '{"query_id": "q", "query": "x", "candidates": [{"docid": "a"}, {"docid": "a"}]}',
            r":1: document 'a' is listed twice",
        ),
        (CASTORINI % "[1]", r":1: no candidate list: Expected .*, got `array`"),
    ],
)
def test_a_malformed_line_is_named(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


def test_labels_are_whole_numbers_however_they_are_written(read):
    (found,) = read(
        '{"query_id": "q", "query": "x", "candidates": [{"docid": "a", "label": 2.0}, {"docid": "b", "label": "1"}, '
        '{"docid": "c", "label": true}, {"docid": "d", "label": null}, {"docid": "e"}]}'
    )
    assert found.labels == [2, 1, 1, None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t0\td\t2\n", r":1: no candidate list"),
        ("1\td\t1\t8.596\n", r":1: no candidate list"),
        ("", "holds no query"),
        ("[]", "holds no query"),
        ("1\td\tfox\tx\n1\td\tfox\ty\n", r":2: document 'd' is listed twice for query '1'"),
        ("1\td\tfox\tx\n1\te\tdog\ty\n", r":2: the query '1' had another text above"),
        ("1\td\tfox\tx\n1\te\tfox\n", r":2: 3 columns"),
        ("1\td\t \tx\n", r":1: the query '1' is empty"),
        ("1\t\tfox\tx\n", r":1: a pair without a document id"),
        ('{"qid": "1", "query": "x", "docno": "d", "rank": "first"}', r":1: the rank 'first' is not a number"),
        ('{"query": "x", "docno": "d", "text": "t"}', r":1: none of qid, query_id"),
    ],
)
def test_malformed_pairs_and_files_without_a_query_are_named(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


def test_pairs_are_in_order_only_if_each_has_a_rank_or_a_score(read):
    def order(*extras):
        lines = (
            json.dumps({"qid": "1", "query": "x", "docno": f"d{n}", "text": "t", **extra})
            for n, extra in enumerate(extras)
        )
        (found,) = read("\n".join(lines))
        return [(c.docid, c.score) for c in found.candidates], found.ordered

    assert order({"score": 1}, {"score": 3}) == ([("d1", 3.0), ("d0", 1.0)], True)
    assert order({"rank": 2}, {"rank": 1}) == ([("d1", 2.0), ("d0", 1.0)], True)
    assert order({"score": 1}, {}) == ([("d0", 2.0), ("d1", 1.0)], False)
