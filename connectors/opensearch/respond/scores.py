"""Maps fused scores to OpenSearch's `_score`: positive, in the same order, the tail below. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

# The lowest score a scored hit gets. There is room below it for a tail of a million hits, all of them normal floats.
LOWEST = 1e-290


def positive_score(score: float) -> float:
    """Map a fused score to a positive one, strictly monotone: `s + 1` from 0 on, `exp(s)` below."""
    return score + 1.0 if score >= 0 else math.exp(score)


def window_scores(fused: Sequence[float]) -> list[float]:
    """Map the fused scores of a window, in the order given: equal ones stay equal, different ones different.

    If two scores would map to one float (`1e-20 + 1 == 1`, `exp(-800) == 0`), the higher one becomes the next float
    above its lower neighbour, so the result depends on the window alone, never on the page.
    """
    mapped: dict[float, float] = {}
    least = LOWEST
    for score in sorted(set(fused)):
        mapped[score] = max(positive_score(score), least)
        least = math.nextafter(mapped[score], math.inf)
    return [mapped[score] for score in fused]


def scores_below(lowest: float, count: int) -> list[float]:
    """Return scores for the hits after the scored ones: `lowest / (1 + k)` for k = 1, 2, …, so they never rise."""
    return [lowest / (1 + k) for k in range(1, count + 1)]
