"""Measure how our engine scales: with the documents of one query, and with simultaneous callers."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from sidecar.bench.report import Point
from sidecar.bench.rounds import Clock
from sidecar.bench.work import Query

DOCUMENTS = (1, 10, 100, 1000)
CALLERS = (1, 2, 4, 8, 16, 32, 64)
# A caller's passages: few, since small requests fill a device only together.
CALLERS_DOCUMENTS = 10
_REPEATS = 5


def by_documents(scorer: Any, queries: Sequence[Query], clock: Clock) -> list[Point]:
    """Return the seconds for one query with growing numbers of passages; a size beyond the passages is left out."""
    passages = [passage for query in queries for passage in query.passages]
    sizes = [size for size in DOCUMENTS if size <= len(passages)]
    return [
        _point(size, size, lambda size=size: scorer.score(queries[0].text, passages[:size]), clock)  # type: ignore[misc]
        for size in sizes
    ]


def by_callers(scorer: Any, queries: Sequence[Query], clock: Clock) -> list[Point]:
    """Return the seconds for so many callers' queries scored together, each with `CALLERS_DOCUMENTS` passages."""

    def together(count: int) -> None:
        asked = [queries[index % len(queries)] for index in range(count)]
        scorer.score_all([scorer.read(one.text, one.passages[:CALLERS_DOCUMENTS]) for one in asked])

    pairs = [sum(len(queries[i % len(queries)].passages[:CALLERS_DOCUMENTS]) for i in range(n)) for n in CALLERS]
    return [
        _point(count, total, lambda count=count: together(count), clock)  # type: ignore[misc]
        for count, total in zip(CALLERS, pairs, strict=True)
    ]


def _point(size: int, pairs: int, call: Callable[[], object], clock: Clock) -> Point:
    call()
    seconds = []
    for _ in range(_REPEATS):
        began = clock()
        call()
        seconds.append(clock() - began)
    middle = statistics.median(seconds)
    return Point(size, middle, pairs / middle)
