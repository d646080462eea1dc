"""Measure the sidecar's own work: each request directly and through it, in turns, so that both run under the same load.

    python -m benchmarks.proxy --url http://localhost:9200 [--json FILE]

The scorer has no model, so the difference is the proxy's: for a reranked search compared with a window-sized
search, and with the caller's own one; for forwarded requests, also while the embedded model keeps all cores busy.
The index is called sidecar-benchmark (20,000 documents of about 100 English words), and is made if it does not exist.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.running import DOCUMENTS, INDEX, Caller, fill, percentile, queries, service

Request = tuple[str, str, bytes | None]
# A request to OpenSearch, and the request to the sidecar that is compared with it.
Pair = tuple[Request, Request]

HIGHLIGHT: dict[str, Any] = {"highlight": {"fields": {"text": {}}}}
AGGREGATIONS: dict[str, Any] = {"aggs": {"tags": {"terms": {"field": "tag"}}}}
WINDOW: dict[str, Any] = {"size": 100}
SEARCH = f"/{INDEX}/_search"


def search(query: str, **more: Any) -> Request:
    """Return a search of the index."""
    return "POST", SEARCH, json.dumps({"query": {"match": {"text": query}}, **more}).encode()


def reranked(direct: dict[str, Any], through: dict[str, Any]) -> Callable[[str, int], Pair]:
    """Return a search, and the same search with reranking."""

    def pair(query: str, _: int) -> Pair:
        asks = {"ext": {"rerank": {"query_context": {"query_text": query}}}}
        return search(query, **direct), search(query, **through, **asks)

    return pair


def same(make: Callable[[str, int], Request]) -> Callable[[str, int], Pair]:
    """Return the same request for both ways."""
    return lambda query, turn: (make(query, turn), make(query, turn))


PASSING: dict[str, Callable[[str, int], Pair]] = {
    "GET _doc": same(lambda _, turn: ("GET", f"/{INDEX}/_doc/{turn * 37 % DOCUMENTS}", None)),
    "_count": same(lambda query, _: ("POST", f"/{INDEX}/_count", search(query)[2])),
    "_search, not reranked": same(lambda query, _: search(query)),
}
CASES: dict[str, Callable[[str, int], Pair]] = {
    "reranked / window of 100": reranked(WINDOW, {}),
    "reranked / own search": reranked({}, {}),
    "reranked / own, highlight": reranked(HIGHLIGHT, HIGHLIGHT),
    "reranked / own, aggregations": reranked(AGGREGATIONS, AGGREGATIONS),
    "reranked / own, both": reranked({**HIGHLIGHT, **AGGREGATIONS}, {**HIGHLIGHT, **AGGREGATIONS}),
    **PASSING,
}


def milliseconds(caller: Caller, request: Request) -> float:
    """Return how long one request takes. Raises `SystemExit` if it is not answered as expected."""
    started = perf_counter()
    status, headers, body = caller.ask(*request)
    taken = (perf_counter() - started) * 1000
    if status != 200 or headers.get("x-rerank-status", "applied") != "applied":
        raise SystemExit(f"{request}: {status} {headers} {body[:300]!r}")
    return taken


def compare(
    direct: Caller, through: Caller, cases: dict[str, Callable[[str, int], Pair]], rounds: int
) -> dict[str, dict[str, float]]:
    """Return the median and 99th percentile of each case, both ways, and the median of the differences."""
    asked: Iterator[str] = queries()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for turn in range(-20, rounds):
        for name, make in cases.items():
            own, ours = make(next(asked), turn % DOCUMENTS)
            # The order alternates: the second of two equal searches finds warm caches.
            if turn % 2:
                pair = milliseconds(direct, own), milliseconds(through, ours)
            else:
                second = milliseconds(through, ours)
                pair = milliseconds(direct, own), second
            if turn >= 0:
                taken[name].append(pair)
    return {name: _figures(pairs) for name, pairs in taken.items()}


def _figures(pairs: list[tuple[float, float]]) -> dict[str, float]:
    direct, through = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {
        "direct_p50": statistics.median(direct),
        "through_p50": statistics.median(through),
        "more_p50": statistics.median(through) - statistics.median(direct),
        "direct_p99": percentile(direct, 0.99),
        "through_p99": percentile(through, 0.99),
    }


def under_load(url: str, rounds: int) -> dict[str, dict[str, float]]:
    """Time forwarded requests while the embedded model scores searches on every core."""
    with service(url, identity=False, score_cache=0) as (through, _):
        stop = threading.Event()
        busy = [threading.Thread(target=_keep_busy, args=(through, number, stop)) for number in range(2)]
        for thread in busy:
            thread.start()
        try:
            return compare(Caller(url), Caller(through), PASSING, rounds)
        finally:
            stop.set()
            for thread in busy:
                thread.join()


def _keep_busy(url: str, number: int, stop: threading.Event) -> None:
    caller = Caller(url)
    for query in itertools.islice(queries(), number, None, 2):
        if stop.is_set():
            return
        asks = {"ext": {"rerank": {"query_context": {"query_text": query}, "timeout_ms": 30_000}}}
        caller.ask(*search(query, **asks))


def show(title: str, found: dict[str, dict[str, float]]) -> None:
    """Print one table."""
    print(f"\n| {title} | direct p50 | through p50 | more p50 | direct p99 | through p99 |")  # noqa: T201  it prints
    print("| --- | --- | --- | --- | --- | --- |")  # noqa: T201
    for name, figures in found.items():
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in figures.values()) + " |")  # noqa: T201


def main() -> None:
    """Print the tables, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:9200")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()

    fill(arguments.url)
    load = os.getloadavg()[0]
    with service(arguments.url, identity=True, score_cache=0) as (through, _):
        idle = compare(Caller(arguments.url), Caller(through), CASES, arguments.rounds)
    show(f"ms, no scoring, load average {load:.1f} to {os.getloadavg()[0]:.1f}", idle)
    busy = under_load(arguments.url, arguments.rounds)
    show(f"ms, both cores scoring, load average {os.getloadavg()[0]:.1f}", busy)
    if arguments.json:
        arguments.json.write_text(json.dumps({"idle": idle, "busy": busy, "load": load}, indent=1))


if __name__ == "__main__":
    main()
