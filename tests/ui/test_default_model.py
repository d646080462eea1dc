"""The page with the default model: its order is the service's, and the sliders agree with the service, too."""

from __future__ import annotations

import json

import pytest

from sidecar.serving.scorer.process import COMMAND
from tests.support.servers.served import ask, served
from tests.support.servers.stub import Stub
from tests.support.ui.library import library


@pytest.fixture(scope="module")
def real():
    with Stub(library) as stub, served(stub.url, COMMAND, device="cpu", budget_ms=120_000) as service:
        yield service


def ranked(service, fusion):
    asked = {"index": "docs", "query": "a fox that jumps", "window": 40, "rankings": [{"fusion": fusion}]}
    body = json.dumps(asked).encode()
    answer = ask(service.api_url, "POST", "/v1/compare", body, {"content-type": "application/json"}, timeout=120)
    (ranking,) = answer.json()["rankings"]
    return ranking["status"], [f"d{hit['first_stage_rank'] - 1}" for hit in ranking["hits"]]


def test_the_page_orders_as_the_service_does(open_page, real, ids):
    page = open_page(f"{real.api_url}/ui?q=a+fox+that+jumps&index=docs&window=40&shown=50")
    page.locator(".right .hit").first.wait_for(timeout=120_000)
    assert page.locator("#message").is_hidden()  # it would say that the orders differ
    assert ids(page) != ids(page, "left")
    page.locator(".right .hit-title").first.click()
    assert "adaptive, min_max, weight" in page.locator("#explain").inner_text()
    page.keyboard.press("Escape")
    page.locator(".side.right select").nth(1).select_option("linear")
    assert ("applied", ids(page)) == ranked(real, {"method": "linear"})
    page.locator(".side.right select").nth(1).select_option("rrf")
    assert ("applied", ids(page)) == ranked(real, "rrf")
