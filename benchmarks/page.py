"""Measure the page in Chromium: its weight, the first result beyond scoring, and a new order by the slider.

python -m benchmarks.page --url http://localhost:9281 --index python "start a function some seconds later"
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

QUERIES = (
    "start a function some seconds later",
    "ask for a password without showing what is typed",
    "show a web page to the user",
    "read a file line by line",
    "compare two lists",
    "parse a date",
)
MOVES = 50
# Bytes of the page and of every file that it loaded.
_WEIGHT = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
    .filter((one) => new URL(one.name).pathname.startsWith("/ui"))
    .reduce((sum, one) => sum + one.decodedBodySize, 0)"""
# A slider's event, and the layout that follows it: what a person waits for.
_MOVE = """(value) => {
    const slider = document.querySelector(".right input[type=range]");
    const started = performance.now();
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
    document.body.getBoundingClientRect();
    return performance.now() - started;
}"""
# Milliseconds from the search to the laid-out hits, and those of scoring and fusion in the service.
_SEARCH = """() => {
    document.body.getBoundingClientRect();
    const measure = performance.getEntriesByName("search").at(-1);
    const scoring = sidecarPage.results.data.rankings.flatMap((one) => Object.values(one.seconds));
    return [performance.now() - measure.startTime, 1000 * scoring.reduce((sum, value) => sum + value, 0)];
}"""


def main(arguments: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Measure a running service, print a table, and return its values."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("queries", nargs="*", default=QUERIES)
    parser.add_argument("--url", default="http://localhost:9281", help="the rerank API of `sidecar serve`")
    parser.add_argument("--index", default="python")
    parser.add_argument("--engine", default="lucene", choices=("lucene", "opensearch"))
    asked = parser.parse_args(arguments)
    path = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if path is None:
        sys.exit("Chromium is not installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        measured = _measured(page, asked)
        browser.close()
    _report(measured)
    return measured


def _measured(page: Page, asked: argparse.Namespace) -> dict[str, list[float]]:
    choices = {"engine": asked.engine, "index": asked.index, "shown": 100, "timeout": 60_000}
    page.goto(f"{asked.url}/ui?{urlencode(choices)}", wait_until="networkidle")
    weight = float(page.evaluate(_WEIGHT))
    beyond, whole = [], []
    for query in asked.queries:
        page.fill("#query", query)
        with page.expect_response("**/v1/compare"):
            page.press("#query", "Enter")
        page.wait_for_selector("body:not(.searching) .right .hit")
        page.wait_for_selector(".status.applied", timeout=1000)  # else there is nothing to measure
        total, scoring = _numbers(page.evaluate(_SEARCH))
        whole.append(total)
        beyond.append(total - scoring)
    moves, computing = _moves(page)
    return {
        "weight of the page, kB": [weight / 1000],
        "first result, ms": whole,
        "first result beyond scoring, ms": beyond,
        f"new order of {page.locator('.right .hit').count()} hits, ms": moves,
        "  of it computing in the page, ms": computing,
    }


def _moves(page: Page) -> tuple[list[float], list[float]]:
    """Move the slider; return the milliseconds of each move, and those in which the page's thread computed."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def used() -> float:
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return 1000 * float(metrics["TaskDuration"])

    moves, computing = [], []
    for i in range(2 * MOVES):
        before = used()
        moves.append(float(page.evaluate(_MOVE, i % MOVES / MOVES)))
        computing.append(used() - before)
    return moves[MOVES:], computing[MOVES:]


def _numbers(found: Any) -> list[float]:
    return [float(value) for value in found]


def _report(measured: dict[str, list[float]]) -> None:
    print(f"{'':<34}{'median':>9}{'largest':>9}{'n':>5}")  # noqa: T201  what a command is for
    for name, values in measured.items():
        row = f"{statistics.median(values):>9.1f}{max(values):>9.1f}{len(values):>5}"
        print(f"{name:<34}{row}")  # noqa: T201


if __name__ == "__main__":
    main()
