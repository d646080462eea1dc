"""Stage two in the service: whose order a response has, what it says, and that a generator never makes it worse."""

from __future__ import annotations

import json
import time

import pytest

from sidecar.core.errors import ConfigurationError
from tests.support.servers.chat_stub import chat_stub, completion
from tests.support.servers.hits import by_model
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import served

STAGE_ONE = by_model()
# The generator turns the first ten of stage one round: it finds the lowest number best.
DEPTH = {"listwise_depth": 10, "listwise_window": 6, "listwise_step": 2}


def lowest(text):
    return -float(text.split()[1])


def reversed_top(depth, window, step):
    order, stop = STAGE_ONE[:depth], depth
    while True:
        start = max(0, stop - window)
        stop = start + window
        order[start:stop] = sorted(order[start:stop], key=STAGE_ONE.index, reverse=True)
        if start == 0:
            return order + STAGE_ONE[depth:]
        stop -= step


BOTH = reversed_top(10, 6, 2)


@pytest.fixture(scope="module")
def generator():
    with chat_stub(worth=lowest) as server:
        yield server


@pytest.fixture(scope="module")
def service(upstream, generator):
    with served(upstream.url, listwise_model=generator.url, **DEPTH) as running:
        yield running


@pytest.fixture(autouse=True)
def _healthy(generator):
    generator.faults, generator.seconds, generator.says = [], 0.0, lambda text: text


def stage(answer):
    return answer.headers.get("x-rerank-stage")


def test_the_first_hits_have_the_generators_order(service):
    answer = service.search("docs", body("first", size=20))
    assert (outcome(answer), stage(answer)) == (("applied", ""), "2")
    assert ids(answer) == BOTH[:20]
    assert "listwise;dur=" in answer.headers["server-timing"]
    scores = [hit["_score"] for hit in answer.json()["hits"]["hits"]]
    assert scores == [
        hit["_score"]
        for hit in service.search("docs", body("first", rerank={"listwise": False}, size=20)).json()["hits"]["hits"]
    ]


def test_the_pages_of_a_search_fit_together_and_only_the_first_asks(service, generator):
    before = len(generator.asked)
    pages = [ids(service.search("docs", body("pages", **{"from": at, "size": 4}))) for at in range(0, 120, 4)]
    assert [hit for page in pages for hit in page] == BOTH
    assert len(generator.asked) - before == 3


def test_explain_tells_of_both_stages(service):
    answer = service.search("docs", body("explain", rerank={"explain": True}, size=3)).json()
    told = answer["ext"]["rerank"]
    assert told["stage"] == 2
    assert told["stage_two"] == {
        "generator": "listwise", "depth": 10, "windows": 3, "mended": 0, "unreadable": 0, "cut": 0,
    }  # fmt: skip
    first = answer["hits"]["hits"][0]["_rerank"]
    assert first["stage_one_rank"] == STAGE_ONE.index(BOTH[0]) + 1


def fault(status, answer=b"", **headers):
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, answer)


FAULTS = {
    "refuses": ([fault(400, b"no")], 10_000, "stage two: ", "refuses the request (HTTP 400): no"),
    "HTML": ([fault(200, b"<html>")], 10_000, "stage two: ", "answers with no JSON"),
    "busy": ([fault(429, retry_after="60")], 10_000, "stage two: ", "is busy (HTTP 429)"),
    "nothing": ([lambda _: time.sleep(2)] * 9, 500, "stage two: ", "within"),
    "no order": ([fault(200, json.dumps(completion("Sorry.")).encode())] * 9, 10_000, "3 of 3 answers", "no order"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_generator_that_fails_leaves_the_order_of_stage_one(service, generator, name):
    faults, timeout, begins, holds = FAULTS[name]
    generator.faults = list(faults)
    answer = service.search("docs", body(f"trouble {name}", rerank={"timeout_ms": timeout}, size=20))
    status, reason = outcome(answer)
    assert (status, stage(answer), ids(answer)) == ("partial", "1", STAGE_ONE[:20])
    assert reason.startswith(begins)
    assert holds in reason
    generator.faults = []
    answer = service.search("docs", body(f"trouble {name}", size=20))
    assert (stage(answer), ids(answer)) == ("2", BOTH[:20])


def test_one_window_that_is_not_read_is_said(service, generator):
    generator.faults = [fault(200, json.dumps(completion("Sorry.")).encode())]
    answer = service.search("docs", body("one window", size=20))
    assert (outcome(answer), stage(answer)) == (
        ("partial", "1 of 3 answers of the generator hold no order"),
        "2",
    )
    assert sorted(ids(answer)) == sorted(STAGE_ONE[:20])


def test_a_mended_answer_is_applied(service, generator):
    generator.says = lambda text: f"{text} > {text} > [99]"
    answer = service.search("docs", body("mended", size=20))
    assert (outcome(answer), stage(answer), ids(answer)) == (("applied", ""), "2", BOTH[:20])


@pytest.mark.parametrize("asked", ["other", "http://elsewhere/v1", ""])
def test_only_the_configured_generator_can_be_named(service, asked):
    assert stage(service.search("docs", body("named", rerank={"listwise": "listwise"}))) == "2"
    answer = service.search("docs", body("named", rerank={"listwise": asked}))
    assert answer.status == 400
    assert "there is no generator" in answer.json()["error"]["reason"]


def test_stage_two_may_wait_to_be_asked_for(upstream, generator):
    with served(upstream.url, listwise_model=generator.url, listwise_on_request=True, **DEPTH) as running:
        assert stage(running.search("docs", body("quiet"))) is None
        answer = running.search("docs", body("quiet", rerank={"listwise": True}, size=20))
        assert (stage(answer), ids(answer)) == ("2", BOTH[:20])


def test_without_a_generator_a_search_that_asks_for_one_is_refused(upstream):
    with served(upstream.url) as running:
        answer = running.search("docs", body(rerank={"listwise": True}))
        assert answer.status == 400
        assert "there is no generator for stage two here" in answer.json()["error"]["reason"]
        assert stage(running.search("docs", body(rerank={"listwise": False}))) is None


def test_a_generator_that_is_not_there_costs_nothing_but_its_order(upstream):
    options = {"listwise_model": "http://127.0.0.1:9", "breaker_failures": 2, "breaker_seconds": 60}
    with served(upstream.url, **options) as running:
        for number in range(4):
            answer = running.search("docs", body(f"gone {number}", size=20))
            assert (outcome(answer)[0], stage(answer), ids(answer)) == ("partial", "1", STAGE_ONE[:20])
        assert outcome(answer)[1].endswith("is not asked for a while")


def test_each_search_of_an_msearch_says_its_stage(service):
    lines = [{}, body("multi"), {}, body("multi", rerank={"listwise": False})]
    sent = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = service.ask("POST", "/docs/_msearch", sent, {"content-type": "application/x-ndjson"}).json()
    told = [one["ext"]["rerank"].get("stage") for one in answer["responses"]]
    assert told == [2, None]


@pytest.mark.parametrize(
    "options", [{"listwise_model": "dear-8b-listwise"}, {"listwise_on_request": True}], ids=["local", "no model"]
)
def test_settings_that_can_not_be_followed_are_refused(upstream, options):
    with pytest.raises(ConfigurationError), served(upstream.url, **options):
        pass
