"""Start the scorers, and check what the settings demand of their models; make what few services need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ConfigurationError
from sidecar.core.relevance_cut import require_calibrated
from sidecar.serving.proxy.app import ProxyOptions
from sidecar.serving.scorer.scorers import Scorers
from sidecar.serving.scorer.stage_two import ServiceStageTwo
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.serving.otel import OtelTraces


def build_stage_two(settings: Settings) -> ServiceStageTwo | None:
    """Make the client of stage two; None if the settings name no generator. Raises `ConfigurationError`."""
    spec = settings.as_stage_two()
    if spec is None:
        if settings.listwise_on_request:
            raise ConfigurationError("listwise_on_request is set, and there is no listwise_model.")
        return None
    breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_seconds)
    return ServiceStageTwo(spec, breaker, slice_seconds=settings.slice_seconds)


def build_traces(settings: Settings) -> OtelTraces | None:
    """Make what writes traces; None without them, and then nothing of OpenTelemetry is loaded.

    Raises `ConfigurationError` if OpenTelemetry is not installed, or a variable of it has a value that is not honoured.
    """
    if not settings.traces:
        return None
    try:
        from sidecar.serving.otel import traces_from_environment
    except ImportError as error:
        raise ConfigurationError(
            f"traces is set, but OpenTelemetry can't be imported: {error}.",
            remedy="Install it with: pip install 'rerank-sidecar[otel]'",
        ) from None
    except ValueError as error:  # it reads this variable when it is imported
        raise ConfigurationError(
            f"OTEL_PROPAGATORS: {error}", remedy="Choose tracecontext or baggage, or install the propagator's package."
        ) from None
    return traces_from_environment(queries=settings.trace_queries)


def client_keys_of(settings: Settings) -> dict[str, str]:
    """Return the keys of clients by their names. Raises `ConfigurationError` for one that is empty or not the only."""
    found = {name: key.get_secret_value() for name, key in settings.client_keys.items()}
    own = settings.api_key.get_secret_value() if settings.api_key else None
    for name, key in found.items():
        if not key.strip():
            raise ConfigurationError(f"client_keys: the key of {name} is empty.")
        if [own, *found.values()].count(key) > 1:
            raise ConfigurationError(f"client_keys: the key of {name} is another's, too.")
    return found


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
