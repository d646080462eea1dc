"""A Chromium for each module, and the service in front of a library that is hard to show."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.ui.library import library


def _missing(what):
    told = f"{what} is not installed; on Debian and Ubuntu: apt-get install chromium, and make install"
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)


# For one module: while it is open, Playwright's event loop is in the way of asyncio.run in the tests of other folders.
@pytest.fixture(scope="module")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        _missing("Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright")
    # Chromium has no sandbox for root, who runs the tests in containers; the pages are this repository's own.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def service():
    with Stub(library) as stub, served(stub.url, models={"other": "other"}) as running:
        yield running


@pytest.fixture
def open_page(chromium):
    """Open a page of its own, `open_page(url, **context)`; an error or a blocked resource fails the test."""
    contexts, wrong = [], []

    def opened(url, wait_until="load", **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if _is_fault(said) else None)
        page.goto(url, wait_until=wait_until)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _is_fault(said):
    # Chromium itself notes an answer with an error status; the page shows it.
    return said.type in {"error", "warning"} and "Failed to load resource" not in said.text


@pytest.fixture
def page(open_page, service):
    """The page with the hits of a search."""
    found = open_page(f"{service.api_url}/ui?q=fox&index=docs")
    found.wait_for_selector(".right .hit")
    return found


@pytest.fixture
def ids():
    """The ids that a column shows, from the top."""
    return lambda page, column="right": page.locator(f".{column} .docid").all_text_contents()
