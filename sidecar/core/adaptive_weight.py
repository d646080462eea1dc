"""The model's weight in a linear fusion, found for each list by its two rows of scores. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import StatisticsError, correlation

# Of the first stage; on judged lists a larger one gained no more.
LARGEST_SHARE = 0.4


def adaptive_weight(first_stage: Sequence[float], model: Sequence[float]) -> float:
    """Return the model's weight for a list, from 0.6 to 1; the first stage has the rest.

    The first stage's share is the larger of two signs that it is right, and at most 0.4: the square of its relative
    spread, because BM25 that tells the first candidate clearly from the hundredth (rare terms, long queries) is right
    more often; and the cube of its correlation with the model, because a learned first stage agrees with the model far
    more than BM25 does. docs/EXPERIMENTS.md has the figures.
    """
    return 1 - min(LARGEST_SHARE, max(relative_spread(first_stage) ** 2, agreement(first_stage, model) ** 3))


def relative_spread(scores: Sequence[float]) -> float:
    """Return the distance from the lowest to the highest score, divided by the largest magnitude; 0 of equal scores."""
    low, high = min(scores), max(scores)
    return (high - low) / max(abs(low), abs(high)) if low != high else 0.0


def agreement(first_stage: Sequence[float], model: Sequence[float]) -> float:
    """Return Pearson's correlation of two rows of scores; 0 where it is negative, or not defined."""
    if len(first_stage) < 3:
        return 0.0
    try:
        return max(0.0, correlation(first_stage, model))
    except StatisticsError:  # one of them does not vary
        return 0.0
