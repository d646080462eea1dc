"""What OpenSearch's hybrid-search processors compute, step by step in their single precision; nothing better.

Source: the neural-search plugin 3.x, package `org.opensearch.neuralsearch.processor` (normalization and combination).
Kept apart from `sidecar.fusion` because its clamps lose order on purpose of compatibility: min-max turns 0 into 0.001
and takes the largest score to be positive, z-score turns everything below the mean into 0.001 and hands a score equal
to the mean the raw maximum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from statistics import fmean, stdev

from sidecar.single_precision import single

_MIN_SCORE = 0.001
_SMALLEST_FLOAT = 2.0**-149  # Java's Float.MIN_VALUE, from which the processor begins its search for the maximum


def means(method: str, normalization: str, lists: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """Normalise each list (`min_max` or `z_score`), then combine by the `linear`, `geometric` or `harmonic` mean."""
    normalize = {"min_max": _min_max, "z_score": _z_score}[normalization]
    combine = {"linear": _arithmetic, "geometric": _geometric, "harmonic": _harmonic}[method]
    normalized = [normalize([single(score) for score in scores]) for scores in lists]
    shares = [single(weight) for weight in weights]
    return [combine(row, shares) for row in zip(*normalized, strict=True)]


def reciprocal_ranks(ranks: Sequence[tuple[int, int]], weights: Sequence[float], rank_constant: int) -> list[float]:
    """Σ wᵢ/(k + rankᵢ), each reciprocal rounded half up to ten decimals first."""
    fused = []
    for row in ranks:
        total = 0.0
        for rank, weight in zip(row, weights, strict=True):
            reciprocal = (Decimal(1) / Decimal(rank_constant + rank)).quantize(Decimal("1e-10"), ROUND_HALF_UP)
            total = single(total + single(single(float(reciprocal)) * single(weight)))
        fused.append(total)
    return fused


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
