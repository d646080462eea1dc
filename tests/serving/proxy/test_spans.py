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


def highlights(answer):
    return [hit.get("highlight") for hit in answer["hits"]["hits"]]


@pytest.mark.parametrize("output", ["highlight", "both"])
def test_they_are_written_into_the_highlight_with_the_callers_tags(service, output):
    asked = {"spans": {"output": output}, "window": 5}
    own = {"fields": {"text": {}}, "pre_tags": ["<b>"], "post_tags": ["</b>"]}
    answer = service.search("docs", body(rerank=asked, size=2, highlight=own))
    found = [text(int(docid)) for docid in ids(answer)]
    assert ids(answer) == by_model(5)[:2]
    assert highlights(answer.json()) == [{"text": [f"<b>{words}</b>"]} for words in found]
    assert [hit.get("_rerank", {}).keys() for hit in answer.json()["hits"]["hits"]] == [
        {"spans"} if output == "both" else set()
    ] * 2
    assert answer.json()["ext"]["rerank"]["without_spans"] == 0


def test_without_tags_of_the_callers_they_are_opensearchs_default(service):
    answer = service.search("docs", body(rerank={"spans": {"output": "highlight"}}, size=1)).json()
    assert highlights(answer) == [{"text": ["<em>score 50</em>"]}]
    assert "highlight" not in service.search("docs", body(rerank={"spans": True}, size=1)).json()["hits"]["hits"][0]


def test_a_hit_without_a_span_above_the_threshold_has_no_highlight(service):
    asked = {"spans": {"threshold": 0.5, "output": "highlight"}, "explain": True, "window": 3}
    answer = service.search("docs", body("mixed", rerank=asked, size=3)).json()
    assert highlights(answer) == [{"text": ["<em>score 24</em>"]}, None, None]
    assert [hit["_rerank"]["rerank_score"] for hit in answer["hits"]["hits"]] == [24.0, -13.0, -50.0]


def test_a_filter_path_keeps_the_highlight_that_was_asked_for(service):
    asked = json.dumps(body(rerank={"spans": {"output": "highlight"}}, size=1)).encode()
    answer = service.ask("POST", "/docs/_search?filter_path=hits.hits._id", asked, JSON).json()
    assert answer["hits"]["hits"] == [{"_id": by_model()[0], "highlight": {"text": ["<em>score 50</em>"]}}]


def test_in_an_msearch_highlights_are_those_of_each_search(service):
    searches = [
        body(rerank={"spans": {"output": "highlight"}}, size=1, highlight={"pre_tags": [tag], "fields": {"text": {}}})
        for tag in ("<", "(")
    ]
    lines = b"".join(b"{}\n" + json.dumps(one).encode() + b"\n" for one in searches)
    found = service.ask("POST", "/docs/_msearch", lines, JSON).json()["responses"]
    assert [highlights(one) for one in found] == [[{"text": ["<score 50</em>"]}], [{"text": ["(score 50</em>"]}]]


def test_a_highlight_that_can_not_be_read_is_refused(service):
    asked = body(rerank={"spans": {"output": "both"}}, highlight={"pre_tags": "<b>"})
    answer = service.search("docs", asked)
    assert answer.status == 400
    assert "highlight: " in answer.body.decode()


def test_if_nothing_is_scored_there_are_none(service):
    answer = service.search("docs", body("late sleep 2000", rerank={"spans": True, "timeout_ms": 50}))
    assert answer.headers["x-rerank-status"] == "failed"
    assert all("_rerank" not in hit for hit in answer.json()["hits"]["hits"])


@pytest.mark.parametrize(
    "wrong", [{"max_spans": 0}, {"max_spans": 65}, {"threshold": 2}, {"output": "title"}, {"tags": []}, 3, "yes"]
)
def test_what_makes_no_sense_is_refused(service, wrong):
    assert service.search("docs", body(rerank={"spans": wrong})).status == 400
