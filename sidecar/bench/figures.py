"""Compute figures from seconds and scores: medians with spread, paired ratios, differences in σ, Kendall's tau."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Closer scores count as equal: float32 sums them in another order.
CLOSER = 1e-5


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the interquartile range around it."""

    median: float
    range: float


def spread(values: Sequence[float]) -> Spread:
    """Return median and interquartile range; the range of a single value is 0."""
    if len(values) == 1:
        return Spread(values[0], 0.0)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, high - low)


def times_faster(own: Sequence[float], other: Sequence[float]) -> Spread:
    """Return how many times as long the other took, round by round: a slow round affects both equally."""
    return spread([theirs / ours for ours, theirs in zip(own, other, strict=True)])


def largest_difference(scores: Sequence[Sequence[float]], oracle: Sequence[Sequence[float]]) -> float:
    """Return the largest difference of a score, in standard deviations of the oracle's scores of the same query."""
    return max(
        max(abs(one - true) for one, true in zip(mine, truth, strict=True)) / (statistics.pstdev(truth) or 1.0)
        for mine, truth in zip(scores, oracle, strict=True)
    )


def mean_tau(scores: Sequence[Sequence[float]], oracle: Sequence[Sequence[float]]) -> float:
    """Return Kendall's tau-b with the oracle's order, the mean over queries."""
    return statistics.fmean(tau(mine, truth) for mine, truth in zip(scores, oracle, strict=True))


def tau(scores: Sequence[float], oracle: Sequence[float]) -> float:
    """Return Kendall's tau-b of two lists of scores; 1 if neither orders anything."""
    from scipy.stats import kendalltau

    if len(set(scores)) == len(set(oracle)) == 1:
        return 1.0
    return float(kendalltau(scores, oracle).statistic)


def same_order(scores: Sequence[float], oracle: Sequence[float], *, closer: float = CLOSER) -> bool:
    """True if the two order all pairs alike, except those whose oracle scores are closer than `closer`."""
    ranked = sorted(range(len(oracle)), key=lambda index: (-oracle[index], index))
    for place, upper in enumerate(ranked):
        for lower in ranked[place + 1 :]:
            if oracle[upper] - oracle[lower] >= closer and scores[upper] <= scores[lower]:
                return False
    return True
