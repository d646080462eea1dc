"""The benchmark of the page runs, and the page is as light and as quick as docs/UI.md says."""

from __future__ import annotations

import os
import shutil
import statistics

import pytest

from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.ui.library import library

QUERIES = ("fox", "lazy dog", "quick", "jumps", "numbers", "foxes")


@pytest.mark.browser
def test_the_page_is_light_and_reorders_at_once():
    if not os.environ.get("CI") and not shutil.which("chromium"):
        pytest.skip("Chromium is not installed")
    from benchmarks.page import main

    with Stub(library) as stub, served(stub.url) as service:
        measured = main(["--url", service.api_url, "--engine", "opensearch", "--index", "docs", *QUERIES])
    medians = {name: statistics.median(values) for name, values in measured.items()}
    assert medians["weight of the page, kB"] < 300
    # The thread's own time, since a busy machine makes every wait long.
    assert medians["  of it computing in the page, ms"] < 50
    assert "new order of 100 hits, ms" in medians
