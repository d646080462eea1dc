"""Counts and times for Prometheus. One registry for each service, so that one process can run two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from sidecar.core.candidates import Ranking
    from sidecar.core.stage_two import StageTwo
    from sidecar.serving.http.asgi import Exchange
    from sidecar.serving.proxy.upstream import Try
    from sidecar.serving.scorer.protocol import BatchReport
    from sidecar.serving.scorer.service import Outcome, RerankingService

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters and histograms; names begin with `sidecar_`, times are seconds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made: Any = {"registry": self.registry}
        self._requests = Counter(
            "sidecar_requests", "Requests answered, by API, kind and HTTP status.", ["api", "kind", "status"], **made
        )
        self._outcomes = Counter(
            "sidecar_reranks",
            "Rerankings, by what became of them; of model and rule where a search got so far.",
            ["api", "status", "model", "rule"],
            **made,
        )
        self._fallbacks = Counter(
            "sidecar_fallbacks",
            "Searches left in first-stage order, by reason.",
            ["api", "reason", "model", "rule"],
            **made,
        )
        self._seconds = Histogram(
            "sidecar_request_seconds", "Time to answer.", ["api", "kind"], buckets=_SECONDS, **made
        )
        self._stages = Histogram("sidecar_stage_seconds", "Time by stage.", ["api", "stage"], buckets=_SECONDS, **made)
        self._passages = Histogram(
            "sidecar_passages", "Passages scored in one request.", buckets=(1, 10, 25, 50, 100, 250, 1000), **made
        )
        self._stage_two = Counter(
            "sidecar_stage_two",
            "Rankings that a generator was asked to order, by what became of them.",
            ["api", "result"],
            **made,
        )
        self._refusals = Counter(
            "sidecar_rate_limited",
            "Refusals by a limit a minute, of requests and of work on them; of a client with a key of its own by name.",
            ["unit", "client"],
            **made,
        )
        self._tries = Counter(
            "sidecar_upstream_tries",
            "Requests sent to an OpenSearch node, by what became of them.",
            ["node", "result"],
            **made,
        )
        self._try_seconds = Histogram(
            "sidecar_upstream_seconds", "Time until a node's answer began.", ["node"], buckets=_SECONDS, **made
        )
        self._batch_tokens = Histogram(
            "sidecar_batch_tokens", "Tokens on the device together.", buckets=[4**n for n in range(3, 10)], **made
        )
        self._batch_seconds = Histogram("sidecar_batch_seconds", "Time on the device.", buckets=_SECONDS, **made)
        self._kept = Histogram(
            "sidecar_shadow_overlap",
            "Share of the first stage's top 10 that a shadow would have kept there.",
            ["rule"],
            buckets=(0, 0.25, 0.5, 0.75, 1),
            **made,
        )
        self._lost = Counter("sidecar_shadow_lost", "Records of shadows that could not be written.", **made)
        self._up = Gauge(
            "sidecar_scorer_process_up", "Whether a scorer process gets work.", ["process", "device"], **made
        )
        self._gauges = {
            name: Gauge(f"sidecar_{name}", text, **made)
            for name, text in {
                "scorer_ready": "Whether a model answers.",
                "upstream_up": "Whether the last request to OpenSearch was answered.",
                "scorer_restarts": "How often the scorer process was replaced.",
                "queued_passages": "Passages that wait to be scored.",
                "queued_tokens": "Tokens that waited for the device after its last batch.",
                "cached_scores": "Scores in the cache.",
                "breaker_open": "Whether the scorer is left alone after failures.",
            }.items()
        }

    def request(self, api: str, kind: str, exchange: Exchange, outcome: Outcome | None) -> None:
        """Count one answered request."""
        self._requests.labels(api, kind, str(exchange.answered)).inc()
        self._seconds.labels(api, kind).observe(exchange.elapsed)
        if outcome is not None:
            self.outcome(api, outcome)

    def outcome(self, api: str, outcome: Outcome) -> None:
        """Count the outcome of a reranking, or of each of several."""
        if outcome.each:
            for one in outcome.each:
                self.outcome(api, one)
            return
        self._outcomes.labels(api, outcome.status.value, outcome.model, outcome.rule).inc()
        self._timed(api, outcome.seconds)
        if outcome.ranking is not None:
            self._passages.observe(outcome.ranking.scored)
            self._ordered(api, outcome.ranking.stage_two)
        elif outcome.reason is not None:
            self._fallbacks.labels(api, outcome.reason.reason.value, outcome.model, outcome.rule).inc()

    def scored(self, api: str, model: str, passages: int, seconds: float) -> None:
        """Count passages that were all scored, without a ranking."""
        self._outcomes.labels(api, "applied", model, "").inc()
        self._stages.labels(api, "score").observe(seconds)
        self._passages.observe(passages)

    def reordered(self, api: str, ranking: Ranking) -> None:
        """Count what a generator made of a ranking that was counted as scored, and its time."""
        self._timed(api, ranking.seconds)
        self._ordered(api, ranking.stage_two)

    def _timed(self, api: str, seconds: Mapping[str, float]) -> None:
        for stage, taken in seconds.items():
            self._stages.labels(api, stage).observe(taken)

    def _ordered(self, api: str, found: StageTwo | None) -> None:
        if found is not None:
            self._stage_two.labels(api, found.why.reason.value if found.why else "applied").inc()

    def rate_limited(self, unit: str, client: str) -> None:
        """Count a refusal by a rate limit."""
        self._refusals.labels(unit, client).inc()

    def batch(self, batch: BatchReport) -> None:
        """Count a batch that the device computed."""
        self._batch_tokens.observe(batch.tokens)
        self._batch_seconds.observe(batch.seconds)

    def tried(self, one: Try) -> None:
        """Count a request to a node."""
        self._tries.labels(one.node, one.result.value).inc()
        if one.answered:
            self._try_seconds.labels(one.node).observe(one.seconds)
        if not one.broken_off:
            self._gauges["upstream_up"].set(one.answered)

    def shadow(self, outcome: Outcome, seconds: float, kept: float | None) -> None:
        """Count a reranking that no caller gets; `kept` is the share of the first stage's top that it keeps there."""
        self.outcome("shadow", outcome)
        self._seconds.labels("shadow", "search").observe(seconds)
        if kept is not None:
            self._kept.labels(outcome.rule).observe(kept)

    def shadow_lost(self, count: int) -> None:
        """Count records of shadows that could not be written."""
        self._lost.inc(count)

    def text(self, service: RerankingService) -> bytes:
        """Return all metrics in Prometheus's text format."""
        self._gauges["scorer_ready"].set(service.scorers.ready)
        for number, process in enumerate(service.scorers.processes):
            self._up.labels(str(number), process.device).set(process.up)
        self._gauges["scorer_restarts"].set(service.scorers.restarts)
        self._gauges["queued_passages"].set(service.scorers.waiting_passages)
        self._gauges["queued_tokens"].set(service.scorers.queued_tokens)
        self._gauges["cached_scores"].set(len(service.cache))
        self._gauges["breaker_open"].set(service.scorers.breaker_open)
        return generate_latest(self.registry)
