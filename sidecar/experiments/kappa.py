"""Agreement of two judges beyond chance. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges on the same pairs: how many pairs, the share with equal grades, and Cohen's kappa.

    `kappa` counts each grade, `binary_kappa` only whether a document is relevant (a grade from 1). They are None if
    both judges gave one and the same grade to all pairs, for which kappa is not defined.
    """

    pairs: int
    equal: float
    kappa: float | None
    binary_kappa: float | None


def agreement(first: Sequence[int], second: Sequence[int]) -> Agreement | None:
    """Compare the grades of two judges, pair by pair; None without a pair."""
    if not first:
        return None
    equal = sum(one == two for one, two in zip(first, second, strict=True)) / len(first)
    relevant = [grade >= 1 for grade in first], [grade >= 1 for grade in second]
    return Agreement(len(first), equal, cohens_kappa(first, second), cohens_kappa(*relevant))


def cohens_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Return (observed - expected) / (1 - expected) agreement (Cohen, 1960); None if chance alone explains all."""
    count = len(first)
    observed = sum(one == two for one, two in zip(first, second, strict=True)) / count
    ones, twos = Counter(first), Counter(second)
    expected = sum(ones[grade] * twos[grade] for grade in ones) / count**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
