"""Spans of the hits of a page, in a search's response."""

from __future__ import annotations

import json

import pytest

from tests.support.servers.hits import by_model, text
from tests.support.servers.searches import JSON, body, ids
from tests.support.servers.served import served


@pytest.fixture(scope="module")
def service(upstream):
    with served(upstream.url) as running:
        yield running


def spans(answer):
    return [hit["_rerank"]["spans"] for hit in answer["hits"]["hits"]]


def test_each_hit_of_the_page_has_its_spans(service):
    answer = service.search("docs", body(rerank={"spans": True}, size=3, **{"from": 1}))
    assert ids(answer) == by_model()[1:4]
    words = [text(int(docid)) for docid in ids(answer)]
    assert [[(one["start"], one["end"], one["text"]) for one in own] for own in spans(answer.json())] == [
        [(0, len(word), word)] for word in words
    ]
    assert spans(answer.json())[0][0]["score"] == pytest.approx(1.0)
    assert answer.json()["ext"]["rerank"] == {"status": "applied", "reason": "", "without_spans": 0}


def test_a_threshold_and_explain_go_with_it(service):
    asked = {"spans": {"max_spans": 1, "threshold": 0.5}, "explain": True, "window": 3}
    answer = service.search("docs", body("mixed", rerank=asked, size=3)).json()
    # 24 of the three scores -50, -13 and 24 is above.
    assert [len(own) for own in spans(answer)] == [1, 0, 0]
    assert answer["hits"]["hits"][0]["_rerank"]["rerank_score"] == 24.0
    assert answer["ext"]["rerank"]["without_spans"] == 0


def test_in_an_msearch_each_search_has_its_own(service):
    searches = [body(rerank={"spans": True}, size=2), body(size=2)]
    lines = b"".join(b"{}\n" + json.dumps(one).encode() + b"\n" for one in searches)
    first, second = service.ask("POST", "/docs/_msearch", lines, JSON).json()["responses"]
    assert [len(own) for own in spans(first)] == [1, 1]
    assert all("_rerank" not in hit for hit in second["hits"]["hits"])
    assert "without_spans" not in second["ext"]["rerank"]


def test_if_nothing_is_scored_there_are_none(service):
    answer = service.search("docs", body("late sleep 2000", rerank={"spans": True, "timeout_ms": 50}))
    assert answer.headers["x-rerank-status"] == "failed"
    assert all("_rerank" not in hit for hit in answer.json()["hits"]["hits"])


@pytest.mark.parametrize("wrong", [{"max_spans": 0}, {"max_spans": 65}, {"threshold": 2}, {"tags": []}, 3, "yes"])
def test_what_makes_no_sense_is_refused(service, wrong):
    assert service.search("docs", body(rerank={"spans": wrong})).status == 400
