"""The sentences that answer, in the page: switched on and off, in the address, as text and never as markup."""

from __future__ import annotations

import re

import pytest

from tests.support.ui.axe import violations
from tests.support.ui.library import IMAGE, document

MARKED = ".right .hit .passage mark.span"
# Two sentences, of which the second has the better score, after characters that JavaScript counts twice.
FOXES = 7


@pytest.fixture
def with_spans(open_page, service):
    page = open_page(f"{service.api_url}/ui?q=fox&index=docs&spans=1&shown=25")
    page.wait_for_selector(MARKED)
    return page


def card(page, docid, column="right"):
    return page.locator(f".{column} .hit", has=page.locator(f".docid:text-is('{docid}')"))


def test_the_reranked_column_shows_the_best_sentences(with_spans):
    assert with_spans.locator("#spans").is_checked()
    best = with_spans.locator(".right .docid").first.inner_text()
    first = with_spans.locator(".right .hit .passage").first
    assert first.locator("mark.span").all_text_contents() == [document(int(best[1:]))[1]]
    # The first stage knows no spans.
    assert with_spans.locator(".left mark.span").count() == 0


def test_positions_count_characters_and_the_best_sentence_comes_first(with_spans):
    first, second = re.findall(r"[^.]+\. ?|[^.]+$", document(FOXES)[1])
    marked = card(with_spans, f"d{FOXES}").locator("mark.span")
    assert marked.all_text_contents() == [second, first.strip()]
    card(with_spans, f"d{FOXES}").locator(".hit-title").click()
    whole = with_spans.locator("#explain .whole")
    assert whole.locator("mark.span").all_text_contents() == [first.strip(), second]
    assert whole.inner_text() == document(FOXES)[1]


def test_markup_in_a_sentence_is_text(with_spans):
    found = card(with_spans, "d1")
    assert "".join(found.locator("mark.span").all_text_contents()) == IMAGE
    assert found.locator("img, b").count() == 0
    assert with_spans.title() == "Compare · rerank-sidecar"


def test_the_switch_needs_one_search_and_is_in_the_address(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "compare" in request.url else None)
    page.locator("#spans").check()
    page.wait_for_selector(MARKED)
    page.wait_for_url("**spans=1**")
    page.locator("#spans").uncheck()
    page.wait_for_selector(MARKED, state="detached")
    page.wait_for_url(re.compile(r"^((?!spans=).)*$"))
    page.locator("#spans").check()
    page.wait_for_selector(MARKED)
    assert len(asked) == 1
    page.locator("#copies summary").first.click()
    page.locator("#copies .code", has_text='"spans": true').wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, service, scheme):
    page = open_page(f"{service.api_url}/ui?q=fox&index=docs&spans=1", color_scheme=scheme)
    page.wait_for_selector(MARKED)
    assert violations(page) == []
    page.locator(".right .hit-title").first.click()
    page.wait_for_selector("#explain mark.span")
    assert violations(page) == []
