"""Read counts and latencies out of a metrics registry, for people who have no Prometheus. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry


def counts(registry: CollectorRegistry, counter: str) -> list[dict[str, Any]]:
    """Return the labels of each series of a counter with its `count`, the largest first."""
    found = [
        {**sample.labels, "count": int(sample.value)}
        for family in registry.collect()
        if family.name == counter
        for sample in family.samples
        if sample.name == f"{counter}_total"
    ]
    return sorted(found, key=lambda one: -one["count"])


def latencies(registry: CollectorRegistry, histogram: str) -> list[dict[str, Any]]:
    """Return the labels of each series of a histogram with its `count`, `mean`, `p50` and `p95`, in seconds.

    A quantile is the upper bound of the bucket that it lies in, None beyond the last bucket.
    """
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for family in registry.collect():
        for sample in family.samples if family.name == histogram else ():
            labels = dict(sample.labels)
            bound = labels.pop("le", None)
            series = tuple(labels.items())
            if bound is not None:
                buckets[series].append((float(bound), sample.value))
            elif sample.name == f"{histogram}_sum":
                sums[series] = sample.value
    found = []
    for series, bounds in buckets.items():
        count = int(bounds[-1][1])
        if count:
            quantiles = {f"p{share}": _quantile(bounds, count * share / 100) for share in (50, 95)}
            found.append({**dict(series), "count": count, "mean": sums[series] / count, **quantiles})
    return found


def _quantile(bounds: Sequence[tuple[float, float]], wanted: float) -> float | None:
    """Return the upper bound of the first bucket that holds so many observations; `bounds` rise."""
    found = next((bound for bound, held in bounds if held >= wanted), float("inf"))
    return None if found == float("inf") else found
