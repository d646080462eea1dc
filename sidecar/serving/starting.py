"""Start the scorers, and check what the settings demand of their models."""

from __future__ import annotations

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ConfigurationError
from sidecar.core.relevance_cut import require_calibrated
from sidecar.serving.proxy.app import ProxyOptions
from sidecar.serving.scorer.scorers import Scorers
from sidecar.serving.scorer.stage_two import ServiceStageTwo
from sidecar.settings import Settings


def build_stage_two(settings: Settings) -> ServiceStageTwo | None:
    """Make the client of stage two; None if the settings name no generator. Raises `ConfigurationError`."""
    spec = settings.as_stage_two()
    if spec is None:
        if settings.listwise_on_request:
            raise ConfigurationError("listwise_on_request is set, and there is no listwise_model.")
        return None
    breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_seconds)
    return ServiceStageTwo(spec, breaker, slice_seconds=settings.slice_seconds)


async def start_scorers(scorers: Scorers, options: ProxyOptions) -> None:
    """Load the models. Raises `ModelError`, and `ConfigurationError` for a threshold on scores without calibration."""
    await scorers.start()
    chosen = {rule.model or options.defaults.model for rule in options.rules if rule.min_relevance}
    if options.defaults.min_relevance:
        chosen |= {options.defaults.model}
        chosen |= {rule.model or options.defaults.model for rule in options.rules if rule.min_relevance is None}
    for model in sorted(chosen):
        if (known := scorers.loaded(model)) is not None:
            require_calibrated(known.mapping, model)
