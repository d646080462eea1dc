"""The state of the service as one object: models, scorer, OpenSearch, outcomes and latency since the start."""

from __future__ import annotations

from typing import Any

from sidecar.core.model_spec import ModelSpec
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.http.metrics_digest import counts, latencies
from sidecar.serving.proxy.cluster_health import ClusterHealth
from sidecar.serving.scorer.process_state import ProcessState
from sidecar.serving.scorer.service import RerankingService
from sidecar.version import __version__


async def status(
    service: RerankingService, cluster: ClusterHealth, metrics: Metrics, *, enabled: bool
) -> dict[str, Any]:
    """Return what `GET /_sidecar/status` answers; checks OpenSearch if that was not done a moment ago."""
    scorers = service.scorers
    reason = await cluster.check()
    return {
        "version": __version__,
        "enabled": enabled,
        "scorer": {
            "ready": scorers.ready,
            "reason": scorers.why_not_ready,
            "restarts": scorers.restarts,
            "queued_passages": scorers.waiting_passages,
            "queued_tokens": scorers.queued_tokens,
            "cached_scores": len(service.cache),
            "breaker_open": scorers.breaker_open,
            "processes": [_process(one) for one in scorers.processes],
        },
        "opensearch": {"reason": reason, "about": cluster.about},
        "models": [_model(service, name, spec) for name, spec in scorers.models.items()],
        "outcomes": counts(metrics.registry, "sidecar_reranks"),
        "fallbacks": counts(metrics.registry, "sidecar_fallbacks"),
        "stages": latencies(metrics.registry, "sidecar_stage_seconds"),
        "requests": latencies(metrics.registry, "sidecar_request_seconds"),
    }


def _process(one: ProcessState) -> dict[str, Any]:
    return {"device": one.device, "up": one.up, "reason": one.why, "restarts": one.restarts}


def _model(service: RerankingService, name: str, spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": name,
        "checkpoint": _shown(spec.model),
        "base_model": None if spec.base_model is None else _shown(spec.base_model),
        "identity": service.scorers.of(name).identity(name),
        "fusion": service.fusion(name).method.value,
        "calibrated": service.mapping(name).calibrated,
    }


def _shown(checkpoint: str) -> str:
    """Return a preset or a hub name as it is, and of a path the last part: where files lie concerns no caller."""
    is_path = checkpoint.startswith(("/", ".", "~")) or checkpoint.count("/") > 1
    return checkpoint.rstrip("/").rpartition("/")[2] if is_path else checkpoint
