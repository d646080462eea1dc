"""Stage two in `/v1/compare`: asked for by ranking, with each hit's place before, and said when it is not done."""

from __future__ import annotations

import json

import pytest

from tests.support.servers.chat_stub import chat_stub
from tests.support.servers.hits import by_model, opensearch
from tests.support.servers.served import ask, served
from tests.support.servers.stub import Stub

STAGE_ONE = by_model(20)[:20]
REVERSED = [*reversed(STAGE_ONE[:3]), *STAGE_ONE[3:]]


@pytest.fixture(scope="module")
def generator():
    with chat_stub(worth=lambda text: -float(text.split()[1])) as server:
        yield server


@pytest.fixture(scope="module")
def service(generator):
    with Stub(opensearch) as stub, served(stub.url, listwise_model=generator.url, listwise_depth=3) as running:
        yield running


def compared(service, *rankings):
    body = json.dumps({"index": "docs", "query": "fox", "window": 20, "rankings": rankings}).encode()
    return ask(service.api_url, "POST", "/v1/compare", body, {"content-type": "application/json"})


def order(ranking):
    return [str(hit["first_stage_rank"] - 1) for hit in ranking["hits"]]


def test_a_ranking_has_stage_two_if_it_asks_for_it(service):
    first, second = compared(service, {}, {"listwise": True}).json()["rankings"]
    assert (order(first), "stage" in first, "stage_two" in first) == (STAGE_ONE, False, False)
    assert (order(second), second["status"], second["stage"]) == (REVERSED, "applied", 2)
    assert second["stage_two"] == {"depth": 3, "windows": 1, "mended": 0, "unreadable": 0, "cut": 0}
    assert [hit.get("stage_one_rank") for hit in second["hits"][:4]] == [3, 2, 1, None]
    assert [hit["score"] for hit in second["hits"]] == [hit["score"] for hit in first["hits"]]
    assert "listwise" in second["seconds"]


def test_a_generator_that_fails_leaves_the_order_of_stage_one_and_is_said(service, generator):
    generator.faults = [lambda _: (400, {}, b"no")]
    (found,) = compared(service, {"fusion": "rrf", "listwise": "listwise"}).json()["rankings"]
    assert (found["status"], found["stage"], found["stage_two"]) == ("partial", 1, {"depth": 3})
    assert found["reason"] == "stage_two_failed"
    assert "refuses the request (HTTP 400): no" in found["words"]


def test_the_page_is_told_of_the_generator(service):
    found = ask(service.api_url, "GET", "/v1/compare").json()
    assert found["generator"] == {"name": "listwise", "depth": 3, "by_default": True}


def test_a_generator_that_is_not_configured_is_refused(service):
    answer = compared(service, {"listwise": "other"})
    assert answer.status == 400
    assert "there is no generator 'other' for stage two here. Configured is listwise." in answer.json()["error"]
