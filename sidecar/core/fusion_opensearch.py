"""OpenSearch's hybrid-search processors, repeated step by step in their single precision, without corrections.

Source: the neural-search plugin 3.x, package `org.opensearch.neuralsearch.processor` (normalization and combination).
It is separate from `sidecar.core.fusion` because its clamps lose order, as OpenSearch's do: min-max turns 0 into 0.001
and assumes that the largest score is positive, z-score turns everything below the mean into 0.001 and gives a score
equal to the mean the raw maximum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from statistics import fmean, stdev

from sidecar.core.float32 import single

Row = tuple[float, float]  # of one document: the first stage, then the model

_MIN_SCORE = 0.001
_SMALLEST_FLOAT = 2.0**-149  # Java's Float.MIN_VALUE, the start value of the processor's search for the maximum


def normalized(normalization: str, lists: tuple[Sequence[float], Sequence[float]]) -> list[Row]:
    """Normalise each list by `min_max` or `z_score`; one row for each document."""
    normalize = {"min_max": _min_max, "z_score": _z_score}[normalization]
    first, second = (normalize([single(score) for score in scores]) for scores in lists)
    return list(zip(first, second, strict=True))


def combined(method: str, rows: Sequence[Row], weights: Sequence[float]) -> list[float]:
    """Combine normalised scores by the `linear`, `geometric` or `harmonic` mean."""
    combine = {"linear": _arithmetic, "geometric": _geometric, "harmonic": _harmonic}[method]
    shares = [single(weight) for weight in weights]
    return [combine(row, shares) for row in rows]


def reciprocals(ranks: Sequence[tuple[int, int]], rank_constant: int) -> list[Row]:
    """Return 1/(k + rank) of both ranks, rounded half up to ten decimals."""

    def reciprocal(rank: int) -> float:
        exact = Decimal(1) / Decimal(rank_constant + rank)
        return single(float(exact.quantize(Decimal("1e-10"), ROUND_HALF_UP)))

    return [(reciprocal(first), reciprocal(second)) for first, second in ranks]


def weighted_sums(rows: Sequence[Row], weights: Sequence[float]) -> list[float]:
    """Compute Σ wᵢ·reciprocalᵢ, as reciprocal rank fusion does."""
    sums = []
    for row in rows:
        total = 0.0
        for reciprocal, weight in zip(row, weights, strict=True):
            total = single(total + single(reciprocal * single(weight)))
        sums.append(total)
    return sums


def _min_max(scores: Sequence[float]) -> list[float]:
    low = min(scores)
    high = max(_SMALLEST_FLOAT, *scores)
    if low == high:
        return [1.0] * len(scores)
    scaled = [single(single(score - low) / single(high - low)) for score in scores]
    return [single(_MIN_SCORE) if score == 0 else score for score in scaled]


def _z_score(scores: Sequence[float]) -> list[float]:
    mean = single(fmean(scores))
    deviation = single(stdev(scores)) if len(scores) > 1 else 0.0
    return [_one_z_score(score, mean, deviation, low=min(scores), high=max(scores)) for score in scores]


def _one_z_score(score: float, mean: float, deviation: float, *, low: float, high: float) -> float:
    if score == mean:
        return high
    if deviation == 0:
        return low
    normalized = single(single(score - mean) / deviation)
    return single(_MIN_SCORE) if normalized <= 0 else normalized


def _arithmetic(row: Sequence[float], weights: Sequence[float]) -> float:
    total = share = 0.0
    for score, weight in zip(row, weights, strict=True):
        if score >= 0:
            total = single(total + single(score * weight))
            share = single(share + weight)
    return single(total / share) if share else 0.0


def _geometric(row: Sequence[float], weights: Sequence[float]) -> float:
    total = share = 0.0
    for score, weight in zip(row, weights, strict=True):
        if score > 0:
            total = single(total + weight * math.log(score))
            share = single(share + weight)
    return single(math.exp(single(total / share))) if share else 0.0


def _harmonic(row: Sequence[float], weights: Sequence[float]) -> float:
    total = share = 0.0
    for score, weight in zip(row, weights, strict=True):
        if score > 0:
            total = single(total + single(weight / score))
            share = single(share + weight)
    return single(share / total) if total > 0 else 0.0
