"""Stage two in the page: chosen for a column, its moves shown, kept in the address, and said when it is not done."""

from __future__ import annotations

import pytest

from tests.support.servers.chat_stub import chat_stub
from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.ui.library import HITS, library, model_score

BY_MODEL = [f"d{i}" for i in sorted(range(HITS), key=lambda i: (-model_score(i), i))][:10]
REVERSED = [*reversed(BY_MODEL[:4]), *BY_MODEL[4:]]


@pytest.fixture(scope="module")
def generator():
    """A generator that turns the order round."""
    with chat_stub(worth=lambda _: 0, says=lambda text: " > ".join(reversed(text.split(" > ")))) as server:
        yield server


@pytest.fixture(scope="module")
def service(generator):
    options = {"listwise_model": generator.url, "listwise_depth": 4, "listwise_on_request": True}
    with Stub(library) as stub, served(stub.url, **options) as running:
        yield running


@pytest.fixture
def page(open_page, service):
    """The page with the model's order on the left, and a search done."""
    found = open_page(f"{service.api_url}/ui?q=fox&index=docs&a.model=e5-small")
    found.wait_for_selector(".right .hit")
    return found


def choose(page, value):
    page.locator(".side.right").get_by_label("Stage two").select_option(value)


def test_the_moves_of_stage_two_are_shown(page, ids):
    assert ids(page) == BY_MODEL
    assert page.locator(".right .stage-two:visible").count() == 0
    choose(page, "on")
    page.wait_for_selector(".right .stage-two:visible")
    assert (ids(page, "left"), ids(page)) == (BY_MODEL, REVERSED)
    assert page.locator(".right .stage-two:visible").all_text_contents() == [
        "stage two: up 3", "stage two: up 1", "stage two: down 1", "stage two: down 3",
    ]  # fmt: skip
    assert page.locator(".right .hit .move").first.inner_text().split() == ["▲", "3", "up", "3"]
    assert page.locator(".right .column-note").inner_text().endswith(" · then the first 4 by listwise")
    assert "stage two" in page.locator(".legend").inner_text()
    scores = [page.locator(f".{side} .score").all_text_contents() for side in ("left", "right")]
    assert scores[0] == scores[1], "the scores stay with the places"
    page.locator(".right .hit-title").first.click()
    assert "from place 4 to 1, whose score is" in page.locator("#explain").inner_text()
    page.wait_for_url("**b.stage2=on**")
    choose(page, "off")
    assert ids(page) == BY_MODEL


def test_a_link_has_stage_two_and_another_fusion_asks_for_a_search(open_page, service, ids):
    page = open_page(f"{service.api_url}/ui?q=fox&index=docs&b.stage2=on")
    page.wait_for_selector(".right .stage-two:visible")
    assert ids(page) == REVERSED
    page.locator(".side.right").get_by_label("Fusion").select_option("rrf")
    assert page.locator(".right .column-note").inner_text().endswith("stage two read another order: search again")
    assert page.locator(".right .stage-two:visible").count() == 0
    stage_one = ids(page)
    page.press("#query", "Enter")
    page.wait_for_selector(".right .stage-two:visible")
    assert ids(page) == [*reversed(stage_one[:4]), *stage_one[4:]]


def test_a_generator_that_fails_is_said(page, generator, ids):
    page.fill("#query", "fox again")
    generator.faults = [lambda _: (400, {}, b"no")] * 9
    choose(page, "on")
    page.wait_for_selector(".status.partial")
    generator.faults = []
    assert ids(page) == BY_MODEL
    assert "stage two is not applied: stage two: " in page.locator(".right .column-note").inner_text()
    assert "(HTTP 400): no" in page.locator(".status.partial").inner_text()


def test_the_search_to_copy_asks_for_what_is_shown(open_page, service):
    page = open_page(f"{service.api_url}/ui?q=fox&index=docs&b.stage2=on")
    page.wait_for_selector(".right .stage-two:visible")
    page.locator("#copies summary").first.click()
    page.locator("#copies .code", has_text='"listwise": true').wait_for()


def test_axe_finds_nothing(open_page, service):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(f"{service.api_url}/ui?q=fox&index=docs&b.stage2=on", color_scheme="dark")
    page.wait_for_selector(".right .stage-two:visible")
    page.locator(".right .hit-title").first.click()
    assert Axe().run(page).response["violations"] == []
