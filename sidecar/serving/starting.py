"""Start the scorers, and check what the settings demand of their models."""

from __future__ import annotations

from sidecar.core.relevance_cut import require_calibrated
from sidecar.serving.proxy.app import ProxyOptions
from sidecar.serving.scorer.scorers import Scorers


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
