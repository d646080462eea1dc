"""axe finds no violation in any view, by light and by dark, on a desk and on a phone; everything works by keyboard."""

from __future__ import annotations

import pytest

from tests.support.ui.axe import violations

PHONE = {"width": 390, "height": 800}


@pytest.mark.parametrize(("scheme", "size"), [("light", None), ("dark", PHONE)])
def test_axe_finds_nothing_in_results_and_explanation(open_page, service, scheme, size):
    options = {"color_scheme": scheme} | ({"viewport": size} if size else {})
    page = open_page(f"{service.api_url}/ui?q=fox&index=docs&b.fusion=linear", **options)
    page.wait_for_selector(".right .hit")
    assert violations(page) == []
    page.locator(".right .hit-title").first.click()
    assert violations(page) == []


@pytest.mark.parametrize("view", ["files", "status"])
def test_axe_finds_nothing_in_the_other_views(open_page, service, view):
    page = open_page(f"{service.api_url}/ui?view={view}")
    page.locator(f"#view-{view} h2").first.wait_for()
    assert violations(page) == []


def test_axe_finds_nothing_before_a_search_and_in_an_error(open_page, service):
    page = open_page(f"{service.api_url}/ui?index=docs")
    page.wait_for_selector("#empty p")
    assert violations(page) == []
    page.locator("#more > summary").click()
    page.fill("#query", "refused")
    page.press("#query", "Enter")
    page.wait_for_selector("#message.error")
    assert violations(page) == []
