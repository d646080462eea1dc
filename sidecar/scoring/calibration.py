"""Fit Platt's calibration to judged scores, and measure it on queries that it was not fitted on.

Source: John Platt, "Probabilistic Outputs for Support Vector Machines", 1999: maximum likelihood of sigmoid(a·s + b)
with targets (n₊+1)/(n₊+2) and 1/(n₋+2) instead of 1 and 0, so that separable data do not need an infinite slope.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.core.errors import InputError, NonFiniteScore
from sidecar.scoring.checkpoints.manifest import ScoreMapping

BINS = 10
HELD_OUT = 0.2
# Probabilities are clipped here: one mistake must not make a log loss infinite.
SUREST = 1 - 1e-15


@dataclass(frozen=True, slots=True)
class Judged:
    """One scored pair with its relevance judgement."""

    qid: str
    score: float
    relevant: bool


@dataclass(frozen=True, slots=True)
class Quality:
    """How well probabilities fit judgements; of all three less is better.

    `log_loss` is the mean of -ln of the probability of the true label, `brier` the mean squared error, `ece` the mean
    distance between probability and share of relevant pairs over ten bins of equal width, weighted by their pairs.
    """

    log_loss: float
    brier: float
    ece: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted mapping, and its quality beside that of the previous mapping, both on the held-out queries."""

    mapping: ScoreMapping
    fitted_pairs: int
    held_out_pairs: int
    held_out_queries: int
    before: Quality
    after: Quality


def calibrate(judged: Sequence[Judged], before: Callable[[float], float]) -> Calibration:
    """Fit on four fifths of the queries and measure on the rest. Raises what `fit` raises."""
    _require_both(judged)
    kept, held_out = split_queries(judged)
    mapping = fit(kept)
    return Calibration(
        mapping=mapping,
        fitted_pairs=len(kept),
        held_out_pairs=len(held_out),
        held_out_queries=len({pair.qid for pair in held_out}),
        before=quality(held_out, before),
        after=quality(held_out, mapping),
    )


def split_queries(judged: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Split the queries by a hash of their id: four fifths to fit on, and one fifth (at least one) held out.

    Raises InputError for a single query.
    """
    qids = sorted({pair.qid for pair in judged}, key=lambda qid: hashlib.blake2b(qid.encode()).digest())
    if len(qids) < 2:
        raise InputError("one query can't be split into a part to fit on and a part to measure on.")
    held = set(qids[: max(1, int(len(qids) * HELD_OUT))])
    return [pair for pair in judged if pair.qid not in held], [pair for pair in judged if pair.qid in held]


def fit(judged: Sequence[Judged]) -> ScoreMapping:
    """Fit a and b. Raises InputError if no calibration exists: only one class, equal scores, or falling relevance."""
    import numpy as np
    from scipy.optimize import minimize

    positives = _require_both(judged)
    scores = np.array([pair.score for pair in judged], dtype=np.float64)
    middle, width = scores.mean(), scores.std()
    if width == 0:
        raise InputError("all scores are equal, so they tell nothing about relevance.")
    target = {True: (positives + 1) / (positives + 2), False: 1 / (len(judged) - positives + 2)}
    targets = np.array([target[pair.relevant] for pair in judged])
    # With standardised scores, slope and offset have a similar size, whatever the logits' scale.
    rows = np.stack([(scores - middle) / width, np.ones_like(scores)])

    def loss(theta: Any) -> Any:
        x = theta @ rows
        return np.mean(np.logaddexp(0, x) - targets * x)

    def gradient(theta: Any) -> Any:
        return rows @ (_sigmoids(theta @ rows) - targets) / len(targets)

    def hessian(theta: Any) -> Any:
        p = _sigmoids(theta @ rows)
        return (rows * (p * (1 - p))) @ rows.T / len(targets)

    found = minimize(loss, np.zeros(2), jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-10})
    a, b = float(found.x[0] / width), float(found.x[1] - found.x[0] * middle / width)
    if a <= 0:
        raise InputError(
            f"relevance falls as the score rises (a = {a:.3g}), so no rising mapping fits.",
            remedy="Look at the judgements, at --relevant-from, and whether the model ranks these queries at all.",
        )
    return ScoreMapping(a=a, b=b)


def quality(judged: Sequence[Judged], mapping: Callable[[float], float]) -> Quality:
    """Measure a mapping's results as probabilities."""
    pairs = [(mapping(pair.score), float(pair.relevant)) for pair in judged]
    sure = [(min(max(p, 1 - SUREST), SUREST), truth) for p, truth in pairs]
    bins: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for p, truth in pairs:
        bins[min(int(p * BINS), BINS - 1)].append((p, truth))
    return Quality(
        log_loss=-math.fsum(math.log(p if truth else 1 - p) for p, truth in sure) / len(pairs),
        brier=math.fsum((p - truth) ** 2 for p, truth in pairs) / len(pairs),
        ece=math.fsum(abs(math.fsum(p - truth for p, truth in each)) for each in bins) / len(pairs),
    )


def _require_both(judged: Sequence[Judged]) -> int:
    """Count the relevant pairs. Raises InputError without both classes, NonFiniteScore for NaN or infinity."""
    bad = next((pair for pair in judged if not math.isfinite(pair.score)), None)
    if bad is not None:
        raise NonFiniteScore(f"a pair of query {bad.qid!r} has the score {bad.score}.")
    positives = sum(pair.relevant for pair in judged)
    if not 0 < positives < len(judged):
        which = "relevant" if positives else "irrelevant"
        raise InputError(
            f"all {len(judged)} judged pairs are {which}: a calibration needs both."
            if judged
            else "no pair is judged.",
            remedy="Judge more, move --relevant-from, or count the unjudged as irrelevant (--unjudged irrelevant).",
        )
    return positives


def _sigmoids(x: Any) -> Any:
    from scipy.special import expit

    return expit(x)
