"""A threshold on relevance: what a page holds, what the response says, and what is refused."""

from __future__ import annotations

import json

import pytest

from sidecar.core.errors import ConfigurationError
from tests.support.servers.hits import HITS, by_model
from tests.support.servers.searches import JSON, body, ids, outcome
from tests.support.servers.served import FAKE, served

CALIBRATED = (*FAKE, "calibrated")
# The window of 100 has each whole number from -50 to 50 once as a score, but 14. So 49 are 1 or more; sigmoid(1) is
# 0.731, sigmoid(0) 0.5.
RELEVANT = by_model()[:49]


@pytest.fixture(scope="module")
def service(upstream):
    with served(upstream.url, CALIBRATED) as running:
        yield running


def cut(answer):
    return {name: answer.headers.get(f"x-rerank-{name}") for name in ("status", "kept", "dropped")}


def test_hits_below_the_threshold_are_left_out_before_the_page_is_cut(service):
    asked = {"min_relevance": 0.7}
    whole = service.search("docs", body(rerank=asked, size=110))
    assert ids(whole) == RELEVANT
    assert cut(whole) == {"status": "applied", "kept": "49", "dropped": "51"}
    pages = [ids(service.search("docs", body(rerank=asked, **{"from": at, "size": 20}))) for at in range(0, 120, 20)]
    assert [hit for page in pages for hit in page] == RELEVANT
    assert [len(page) for page in pages] == [20, 20, 9, 0, 0, 0]


def test_scores_and_total_are_those_of_the_whole_list(service):
    whole = service.search("docs", body(size=3)).json()["hits"]
    few = service.search("docs", body(rerank={"min_relevance": 0.99}, size=3)).json()["hits"]
    assert few == whole
    assert few["total"] == {"value": HITS, "relation": "eq"}


def test_a_page_without_a_relevant_hit_is_empty(service):
    answer = service.search("docs", body("nothing", rerank={"min_relevance": 1, "window": 3}))
    assert (ids(answer), answer.json()["hits"]["max_score"]) == ([], None)
    assert cut(answer) == {"status": "applied", "kept": "0", "dropped": "3"}


def test_zero_switches_it_off_and_explain_tells_it(upstream, service):
    with served(upstream.url, CALIBRATED, min_relevance=0.7) as running:
        assert ids(running.search("docs", body(size=110))) == RELEVANT
        off = running.search("docs", body(rerank={"min_relevance": 0}, size=110))
        assert (ids(off), cut(off)["dropped"]) == (by_model()[:110], None)
    told = service.search("docs", body(rerank={"min_relevance": 0.7, "explain": True})).json()["ext"]["rerank"]
    assert {name: told[name] for name in ("kept", "dropped", "min_relevance")} == {
        "kept": 49, "dropped": 51, "min_relevance": 0.7,
    }  # fmt: skip


def test_a_rule_may_have_one(upstream):
    rules = [{"index": "docs", "min_relevance": 0.7}, {"index": "*"}]
    with served(upstream.url, CALIBRATED, rules=rules) as running:
        assert ids(running.search("docs", body(rerank=False, size=110))) == RELEVANT
        assert ids(running.search("other", body(rerank=False, size=110))) == by_model()[:110]


def test_each_search_of_an_msearch_has_its_own(service):
    searches = [body(rerank={"min_relevance": 0.7}, size=60), body(size=60)]
    lines = b"".join(b"{}\n" + json.dumps(one).encode() + b"\n" for one in searches)
    first, second = service.ask("POST", "/docs/_msearch", lines, JSON).json()["responses"]
    assert [len(answer["hits"]["hits"]) for answer in (first, second)] == [49, 60]
    assert first["ext"]["rerank"] == {"status": "applied", "reason": "", "kept": 49, "dropped": 51}
    assert second["ext"]["rerank"] == {"status": "applied", "reason": ""}


def test_if_nothing_is_scored_in_time_the_answer_is_the_first_stages(service):
    answer = service.search("docs", body("sleep 2000", rerank={"min_relevance": 0.7, "timeout_ms": 50}))
    assert (cut(answer)["status"], ids(answer)) == ("failed", [str(i) for i in range(10)])


@pytest.mark.parametrize("value", [-0.1, 1.1, "0.5", True, [0.5]])
def test_what_is_no_probability_is_refused(service, value):
    answer = service.search("docs", body(rerank={"min_relevance": value}))
    assert answer.status == 400
    assert "$.min_relevance" in answer.json()["error"]["reason"]


def test_a_model_without_calibration_is_refused_where_it_is_asked_for(upstream):
    with served(upstream.url) as running:
        answer = running.search("docs", body(rerank={"min_relevance": 0.5}))
        assert answer.status == 400
        assert answer.json()["error"]["reason"] == (
            "ext.rerank: min_relevance needs a calibrated model, and the scores of e5-small are no probabilities."
        )
        assert outcome(running.search("docs", body(rerank={"min_relevance": 0}))) == ("applied", "")


@pytest.mark.parametrize(
    "options", [{"min_relevance": 0.5}, {"rules": [{"min_relevance": 0.5}]}], ids=["settings", "a rule"]
)
def test_a_model_without_calibration_does_not_start(upstream, options):
    with (
        pytest.raises(ConfigurationError, match="the scores of e5-small are no probabilities"),
        served(upstream.url, **options),
    ):
        pass
