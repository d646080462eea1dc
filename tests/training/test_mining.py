"""Hard negatives: what the first stage ranks high and nobody liked, beside what somebody did."""

from __future__ import annotations

import json

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.documents import PassageFields
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.training.mining import Mined, mine, texts_of


def found(qid, *docids):
    candidates = [
        Candidate(docid, rank, 10.0 - rank, Passage("", f"text of {docid}")) for rank, docid in enumerate(docids, 1)
    ]
    return CandidateList(qid, f"query {qid}", candidates, [b"{}"] * len(docids))


def mined_lists(lists, qrels, mined, **options):
    options = {"negatives": 2, **options}
    return [json.loads(line) for line in mine(lists, qrels, mined, fields=PassageFields(), **options)]


def labels(line):
    return [(one["docid"], one["label"]) for one in line["candidates"]]


def test_hits_keep_their_order_and_only_the_first_of_the_irrelevant_stay():
    mined = Mined()
    [line] = mined_lists([found("1", "a", "b", "c", "d", "e")], {"1": {"e": 2, "b": -1}}, mined)
    assert labels(line) == [("a", 0), ("b", 0), ("e", 2)]
    assert line["candidates"][0] == {"docid": "a", "label": 0, "title": "", "text": "text of a", "score": 9.0}
    assert (mined.queries, mined.positives, mined.negatives) == (1, 1, 2)


def test_without_unjudged_hits_only_judged_ones_are_taken(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "z", "text": "text of z"}\n{"_id": "other", "text": "no"}\n')
    mined = Mined(texts=texts_of(corpus, {"z", "absent"}))
    [line] = mined_lists([found("1", "a", "b", "c")], {"1": {"b": 1, "c": 0, "z": 0}}, mined, unjudged=False)
    assert labels(line) == [("b", 1), ("c", 0), ("z", 0)]


def test_a_relevant_document_that_was_not_found_has_its_text_from_the_corpus_or_is_counted(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "z", "title": "T", "text": "text of z"}\n')
    lists = [found("1", "a"), found("2", "a")]
    mined = Mined(texts=texts_of(corpus, {"z", "absent"}))
    [line] = mined_lists(lists, {"1": {"z": 1}, "2": {"absent": 1}}, mined)
    assert line["candidates"][1] == {"docid": "z", "label": 1, "title": "T", "text": "text of z"}
    assert (mined.without_positive, mined.positives_not_found, mined.positives_without_text) == (1, 1, 0)
    assert str(mined) == (
        "1 queries with 1 relevant and 1 irrelevant passages; 1 relevant documents were not found by the first stage; "
        "1 queries without any relevant passage were left out"
    )


def test_a_relevant_hit_without_text_is_told_from_one_that_was_not_found():
    empty = CandidateList("1", "query", [Candidate("a", 1, 1.0, Passage("", " "))], [b"{}"])
    mined = Mined()
    assert mined_lists([empty], {"1": {"a": 1, "b": 1}}, mined) == []
    assert (mined.positives_without_text, mined.positives_not_found) == (1, 1)
