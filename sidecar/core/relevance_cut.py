"""Leave out of a ranking what is less relevant than a caller accepts. No I/O.

Only a calibrated score reads as a probability, so a threshold on any other score is refused.
"""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.candidates import Cut, Ranking
from sidecar.core.errors import ConfigurationError
from sidecar.core.explanation import Maps

UNCALIBRATED = "min_relevance needs a calibrated model, and the scores of {model} are no probabilities"
REMEDY = "Choose a calibrated model, fit a calibration (sidecar fit-calibration), or leave min_relevance out."


def require_calibrated(mapping: Maps, model: str) -> None:
    """Raise `ConfigurationError` if a model's scores are no probabilities."""
    if not mapping.calibrated:
        raise ConfigurationError(f"{UNCALIBRATED.format(model=model)}.", remedy=REMEDY)


def keep_relevant(ranking: Ranking, least: float, mapping: Maps) -> Ranking:
    """Keep the hits whose relevance, by a calibrated `mapping`, is `least` or more; they keep order and scores.

    A hit without a score is left out: nothing is known of its relevance. `least` 0 keeps every hit.
    """
    if not least:
        return ranking
    kept = [hit for hit in ranking.hits if hit.rerank_score is not None and mapping(hit.rerank_score) >= least]
    dropped = len(ranking.hits) - len(kept)
    hits = tuple(replace(hit, rank=rank) for rank, hit in enumerate(kept, start=1))
    return replace(ranking, hits=hits, cut=Cut(least, dropped, ranking.unscored))
