"""A search in the page: two columns, moves, explanations, sliders; what is hard to show; what goes wrong."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.servers.hits import answer
from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.ui.library import HITS, IMAGE, SCRIPT, library, model_score


def by_model(window=HITS):
    order = sorted(range(window), key=lambda i: (-model_score(i), i))
    return [f"d{i}" for i in [*order, *range(window, HITS)]]


def slide(page, selector, value):
    page.locator(selector).evaluate(
        "(field, value) => { field.value = value; field.dispatchEvent(new Event('input')); }", value
    )


def test_a_query_shows_both_orders_with_moves(open_page, service, ids):
    page = open_page(f"{service.api_url}/ui")
    page.wait_for_selector("#query:focus")
    page.fill("#query", "fox")
    page.fill("#index", "docs")
    page.press("#query", "Enter")
    page.wait_for_selector(".right .hit")
    assert ids(page, "left") == [f"d{i}" for i in range(10)]
    assert ids(page) == by_model()[:10]
    best = int(by_model()[0][1:])
    assert page.locator(".right .hit .move").first.inner_text().split() == ["▲", str(best), "up", str(best)]
    # Each shown hit has a line, and so has each hit that fell out of the first ten.
    fell = set(ids(page, "left")) - set(ids(page))
    assert page.locator(".lines path").count() == 10 + len(fell)
    assert page.locator(".status.applied").inner_text() == "applied e5-small"
    assert "first stage" in page.locator(".legend").inner_text()


def listing(names):
    """The library with a list of indexes; OpenSearch refuses the list if there is none."""
    found = json.dumps({"indices": [{"name": name} for name in names or ()]})

    def answered(request):
        if request.startswith(b"GET /_resolve/index/"):
            return answer(200, found) if names else answer(403, "{}")
        return library(request)

    return answered


@pytest.mark.parametrize(
    ("names", "offered", "chosen"),
    [
        (["papers", "docs", ".tasks"], ["docs", "papers"], ""),
        (["docs", ".tasks"], ["docs"], "docs"),  # a cluster's only index is chosen
        (None, [], ""),
    ],
)
def test_the_indexes_of_the_cluster_are_offered(open_page, ids, names, offered, chosen):
    with Stub(listing(names)) as stub, served(stub.url) as service:
        page = open_page(f"{service.api_url}/ui", wait_until="networkidle")
        shown = page.locator("#indexes option").evaluate_all("options => options.map((one) => one.value)")
        assert (shown, page.input_value("#index")) == (offered, chosen)
        page.fill("#index", "docs")
        page.fill("#query", "fox")
        page.press("#query", "Enter")
        page.wait_for_selector(".right .hit")
    assert page.locator("#message").is_hidden()


def test_the_address_brings_the_same_comparison(open_page, service, ids):
    page = open_page(f"{service.api_url}/ui?q=fox&index=docs&b.fusion=linear&b.weight=0.3&cut=50&shown=25")
    page.wait_for_selector(".right .hit")
    slide(page, ".right input[type=range]", 0.4)
    page.wait_for_url("**b.weight=0.4**")
    shown = ids(page)
    again = open_page(page.url)
    again.wait_for_selector(".right .hit")
    assert (len(shown), ids(again)) == (25, shown)


def test_a_click_explains_and_escape_goes_back(page):
    page.locator(".right .hit-title").nth(2).click()
    panel = page.locator("#explain")
    assert page.evaluate("document.activeElement.id") == "explain-title"
    told = panel.inner_text()
    assert "Model's raw score" in told
    assert "Scaled to 0–1 (no probability)" in told
    assert "Fields read: title, text" in told
    page.keyboard.press("Escape")
    assert panel.is_hidden()
    assert page.evaluate("document.activeElement.className") == "hit-title"


def test_the_sliders_reorder_without_a_request(page, ids):
    asked = []
    # Chromium asks for the icon again wherever the address changes.
    page.on("request", lambda request: asked.append(request.url) if "icon" not in request.url else None)
    slide(page, ".right input[type=range]", 0)
    assert ids(page) == [f"d{i}" for i in range(10)]
    slide(page, ".right input[type=range]", 1)
    assert ids(page) == by_model()[:10]
    slide(page, "#cut", 20)
    assert ids(page) == by_model(20)[:10]
    page.locator(".shared select").select_option("100")
    assert ids(page) == by_model(20)
    assert asked == []


def test_the_same_numbers_explain_a_fusion(page):
    slide(page, ".right input[type=range]", 0.5)
    page.locator(".right .hit-title").first.click()
    told = page.locator("#explain").inner_text()
    parts = re.search(r"0\.500 × ([\d.]+) \+ 0\.500 × ([\d.]+) = ([\d.]+)", told)
    model, first, fused = map(float, parts.groups())
    assert fused == pytest.approx(0.5 * model + 0.5 * first, abs=2e-4)


def test_two_models_and_two_fusions_side_by_side(page, ids):
    page.locator(".side.left select").first.select_option("other")
    page.get_by_role("heading", name="Reranked · other").wait_for()
    assert ids(page, "left") == ids(page) == by_model()[:10]
    page.locator(".side.left select").nth(1).select_option("linear")
    slide(page, ".side.left input[type=range]", 0)
    assert ids(page, "left") == [f"d{i}" for i in range(10)]
    assert page.locator(".lines path.up").count() > 0


def test_markup_in_documents_is_text_and_no_script_runs(page):
    card = page.locator(".left .hit").nth(1)
    assert card.locator(".hit-title").inner_text() == SCRIPT
    assert IMAGE in card.locator(".passage").inner_text()
    card.locator(".hit-title").click()
    assert IMAGE in page.locator("#explain .whole").inner_text()
    assert page.locator("#results img, #results script, #explain img").count() == 0
    assert page.title() == "Compare · rerank-sidecar"
    # Of the engine's own fragments only its marks are marks.
    first = page.locator(".left .hit .passage").first
    assert first.inner_text() == "The quick fox & <i>others</i>"
    assert first.locator("mark").all_text_contents() == ["fox"]


def test_every_text_has_its_own_direction(page):
    titles = page.locator(".left .hit-title")
    assert [titles.nth(i).evaluate("node => getComputedStyle(node).direction") for i in (0, 2, 5)] == [
        "ltr",
        "rtl",
        "rtl",
    ]
    page.locator(".left .hit-title").nth(3).click()
    assert len(page.locator("#explain .whole").inner_text()) > 50_000


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(open_page, service, width):
    page = open_page(f"{service.api_url}/ui?q=fox&index=docs", viewport={"width": width, "height": 700})
    page.wait_for_selector(".right .hit")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".right .hit-title").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("refused", "this query is refused"),
        ("forbidden", "Enter an account of OpenSearch"),
        ("nothing", "No hits."),
    ],
)
def test_what_goes_wrong_is_said(open_page, service, query, words):
    page = open_page(f"{service.api_url}/ui?q={query}&index=docs")
    page.locator("#message").get_by_text(words).wait_for()


def test_a_failed_reranking_shows_the_first_stage_and_why(open_page, service, ids):
    page = open_page(f"{service.api_url}/ui?q=fail&index=docs")
    page.wait_for_selector(".status.failed")
    assert page.locator(".status.failed").inner_text() == "failed e5-small: told to failscoring_failed"
    assert ids(page) == ids(page, "left")


def test_a_service_that_is_gone(open_page):
    with Stub(library) as stub, served(stub.url) as service:
        page = open_page(f"{service.api_url}/ui?index=docs")
        page.wait_for_selector("#query:focus")
    page.fill("#query", "fox")
    page.press("#query", "Enter")
    page.wait_for_selector("#message.error")
    assert page.locator("#message").inner_text() == "The service does not answer. Is it still running?"


def test_the_key_is_asked_for_and_kept_in_memory_alone(open_page):
    with Stub(library) as stub, served(stub.url, api_key="s3cret") as service:
        page = open_page(f"{service.api_url}/ui?q=fox&index=docs")
        page.fill("#key", "wrong")
        page.press("#key", "Enter")
        page.wait_for_selector("#key-dialog .error")
        page.fill("#key", "s3cret")
        page.press("#key", "Enter")
        page.wait_for_selector(".right .hit")
        kept = page.evaluate(
            "[...Object.values(localStorage), ...Object.values(sessionStorage), document.cookie].join()"
        )
        assert "s3cret" not in kept + page.url + page.content()
        page.reload()
        page.wait_for_selector("#key")
