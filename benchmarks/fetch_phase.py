"""Time a window of 100 if OpenSearch highlights all of it, or only the page: p50 of both, side by side.

    python -m benchmarks.fetch_phase --url http://localhost:9200

Nothing is scored, so the figures are those of OpenSearch and the network. The indexes are called
sidecar-benchmark-short (20,000 documents of about 1 kB) and sidecar-benchmark-long (500 of about 100 kB), and are
replaced.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from opensearchpy import OpenSearch

from connectors.opensearch import RerankingClient
from connectors.opensearch.rewrite.request import FetchPhase
from connectors.opensearch.transport import connect
from sidecar.core.candidates import Candidate, Ranked, Ranking

SHORT, LONG = "sidecar-benchmark-short", "sidecar-benchmark-long"
QUERY = {"match": {"text": "fox w1 w2 w3"}}
HIGHLIGHT: dict[str, Any] = {"highlight": {"fields": {"text": {}}}}
AGGREGATIONS = {"aggs": {"tags": {"terms": {"field": "tag"}}}}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (SHORT, {}),
    "aggregations": (SHORT, AGGREGATIONS),
    "highlight": (SHORT, HIGHLIGHT),
    "highlight and aggregations": (SHORT, {**HIGHLIGHT, **AGGREGATIONS}),
    "100 kB documents": (LONG, {}),
    "100 kB documents, highlight": (LONG, HIGHLIGHT),
}
MODES: tuple[FetchPhase, ...] = ("window", "page")


class LastFirst:
    """Reverses the window, so that the page is not the first stage's."""

    def rank_candidates(self, query: str, candidates: Any) -> Ranking:
        """Score every candidate by its rank."""
        order: list[Candidate] = list(reversed(candidates))
        hits = [Ranked(c, rank, float(c.rank), float(c.rank)) for rank, c in enumerate(order, start=1)]
        return Ranking(query, tuple(hits), {})


def fill(client: OpenSearch, index: str, documents: int, padding: int) -> None:
    """Make an index of random words; `padding` is text of other fields, in bytes, that no query reads."""
    client.indices.delete(index=index, ignore_unavailable=True)
    properties = {"text": {"type": "text"}, "tag": {"type": "keyword"}, "padding": {"type": "object", "enabled": False}}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    client.indices.create(index=index, body={"settings": settings, "mappings": {"properties": properties}})
    draw = random.Random(1)  # noqa: S311 - not a secret
    for start in range(0, documents, 200):
        lines: list[dict[str, Any]] = []
        for i in range(start, min(start + 200, documents)):
            words = [f"w{draw.randrange(3000)}" for _ in range(180)] + ["fox"] * draw.randrange(4)
            source = {"text": " ".join(words), "tag": f"t{i % 20}", "padding": ["x" * 99] * (padding // 102)}
            lines += [{"index": {}}, source]
        client.bulk(index=index, body=lines)
    client.indices.refresh(index=index)


def milliseconds(search: Callable[[], object]) -> float:
    """Return how long one search takes."""
    started = perf_counter()
    search()
    return (perf_counter() - started) * 1000


def compare(client: OpenSearch, rounds: int) -> dict[str, dict[FetchPhase, float]]:
    """Return the median of each case and mode; the modes take turns, so that both run under the same load."""
    clients = {mode: RerankingClient(client, LastFirst(), fetch_phase=mode) for mode in MODES}
    found: dict[str, dict[FetchPhase, float]] = {}
    for case, (index, extra) in CASES.items():
        body = {"query": QUERY, **extra}
        taken: dict[FetchPhase, list[float]] = {mode: [] for mode in MODES}
        for _ in range(rounds + 3):
            for mode, reranking in clients.items():
                taken[mode].append(milliseconds(partial(reranking.search_raw, index=index, body=body)))
        found[case] = {mode: statistics.median(taken[mode][3:]) for mode in MODES}
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:9200")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()

    client = connect(arguments.url, timeout=300)
    fill(client, SHORT, 20_000, 0)
    fill(client, LONG, 500, 100_000)
    for case, medians in compare(client, arguments.rounds).items():
        print(f"{case} | window {medians['window']:.0f} ms | page {medians['page']:.0f} ms")  # noqa: T201 - it prints
    client.indices.delete(index=f"{SHORT},{LONG}")


if __name__ == "__main__":
    main()
