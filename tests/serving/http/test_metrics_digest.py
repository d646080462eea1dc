"""Counts and quantiles for people, out of the metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from sidecar.serving.http.metrics_digest import counts, latencies


def test_counts_by_series_the_largest_first():
    registry = CollectorRegistry()
    counter = Counter("things", "", ["api", "status"], registry=registry)
    counter.labels("api", "failed").inc()
    counter.labels("opensearch", "applied").inc(41)
    assert counts(registry, "things") == [
        {"api": "opensearch", "status": "applied", "count": 41},
        {"api": "api", "status": "failed", "count": 1},
    ]
    assert counts(registry, "nothing") == []


def test_a_quantile_is_the_bound_of_its_bucket():
    registry = CollectorRegistry()
    histogram = Histogram("times", "", ["stage"], buckets=(0.1, 1, 10), registry=registry)
    histogram.labels("unused")
    for seconds in [0.05] * 10 + [0.5] * 8 + [20, 20]:
        histogram.labels("score").observe(seconds)
    (found,) = latencies(registry, "times")
    mean = (0.05 * 10 + 0.5 * 8 + 40) / 20
    assert found == {"stage": "score", "count": 20, "mean": mean, "p50": 0.1, "p95": None}
