"""Paired tests of two runs over the same queries, corrected for many comparisons. Knows only arrays of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from sidecar.experiments.evaluate import paired_p

ALPHA = 0.05
POWER = 0.8
# Sign flips of a randomisation test: p has a standard error of at most 0.005. Up to 13 queries all flips are tried.
RESAMPLES = 9999
_SEED = 0

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference of two runs in one measure, over the same queries.

    `difference` is the mean of the differences, `low` and `high` its confidence interval (1 − `ALPHA`, by Student's t).
    `t_p` and `randomisation_p` are two-sided p-values; `holm_p` is `t_p` after Holm's correction over all comparisons
    that were passed together. `detectable` is the smallest true difference that a t-test over as many queries with
    this spread would find with a probability of `POWER`. `wins`, `ties` and `losses` count queries. Values that a
    single query does not define are None.
    """

    difference: float
    low: float | None
    high: float | None
    t_p: float | None
    randomisation_p: float
    holm_p: float | None
    detectable: float | None
    wins: int
    ties: int
    losses: int


def paired_tests(differences: Sequence[Values]) -> list[PairedTest]:
    """Test each row of per-query differences (all of the same queries) against no difference."""
    if not differences:
        return []
    t_values = [_t_test(row) for row in differences]
    corrected = iter(holm([p for p in t_values if p is not None]))
    randomised = randomisation(np.stack(differences))
    found = []
    for row, t_p, random_p in zip(differences, t_values, randomised, strict=True):
        low, high = interval(row)
        found.append(
            PairedTest(
                difference=float(row.mean()),
                low=low,
                high=high,
                t_p=t_p,
                randomisation_p=random_p,
                holm_p=None if t_p is None else next(corrected),
                detectable=detectable(row),
                wins=int((row > 0).sum()),
                ties=int((row == 0).sum()),
                losses=int((row < 0).sum()),
            )
        )
    return found


def _t_test(row: Values) -> float | None:
    """Return the p-value of a paired, two-sided t-test: 1 if no query differs, None if one query defines none."""
    p = paired_p(row.tolist())
    return None if math.isnan(p) else p


def randomisation(rows: Values) -> list[float]:
    """Return the two-sided p-value of a paired randomisation test for each row of differences.

    Under the null hypothesis either run could have produced either value, so the sign of each query's difference is
    flipped at random (Smucker, Allan and Carterette, CIKM 2007). All flips are tried if they are at most `RESAMPLES`.
    The random numbers have a fixed seed, so the same input gives the same p. scipy's `permutation_test` gives the same
    p, and takes longer: it draws anew for each row.
    """
    count = rows.shape[1]
    exact = 2**count <= RESAMPLES
    if exact:
        flips = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        flips = 1.0 - 2.0 * np.random.default_rng(_SEED).integers(0, 2, (RESAMPLES, count))
    observed = np.abs(rows.sum(axis=1))
    # A flip that leaves the sum as it is counts, whatever the order of the additions did to its last digits.
    at_least = np.abs(flips @ rows.T) >= observed * (1 - 1e-12) - 1e-12
    hits, total = at_least.sum(axis=0), len(flips)
    return [float(p) for p in (hits / total if exact else (hits + 1) / (total + 1))]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's method (1979): the family-wise error stays below α."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def interval(row: Values) -> tuple[float | None, float | None]:
    """Return the confidence interval of the mean by Student's t; (None, None) for a single value."""
    from scipy.stats import t

    if len(row) < 2:
        return None, None
    half = float(t.ppf(1 - ALPHA / 2, len(row) - 1)) * _standard_error(row)
    return float(row.mean()) - half, float(row.mean()) + half


def detectable(row: Values) -> float | None:
    """Return the smallest mean difference that a two-sided t-test finds with a probability of `POWER`.

    It depends on the number of queries and on the spread of the differences. None for a single query.
    """
    return None if len(row) < 2 else _detectable_effect(len(row)) * float(row.std(ddof=1))


@cache
def _detectable_effect(count: int) -> float:
    from scipy.optimize import brentq

    return float(brentq(lambda effect: power(effect, count) - POWER, 1e-6, 100.0))


def power(effect: float, count: int) -> float:
    """Return the power of a paired, two-sided t-test; `effect` is the mean difference in standard deviations."""
    from scipy.stats import nct, t

    limit, shift = t.ppf(1 - ALPHA / 2, count - 1), effect * count**0.5
    # Far from the limit nct gives NaN in the tail that does not matter.
    return float(np.nan_to_num(nct.sf(limit, count - 1, shift), nan=1.0)) + float(
        np.nan_to_num(nct.cdf(-limit, count - 1, shift), nan=0.0)
    )


def _standard_error(row: Values) -> float:
    return float(row.std(ddof=1)) / math.sqrt(len(row))
