"""Both shapes of candidate files, and what is said of a malformed one."""

from __future__ import annotations

import pytest

from sidecar.candidates import Candidate, Passage
from sidecar.documents import PassageFields
from sidecar.errors import InputError
from sidecar.experiments.candidate_files import CandidateList, read_candidates


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
