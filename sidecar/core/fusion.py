"""Fuse scores: arithmetic on scores and candidates, without a model, an engine or I/O.

Every method is defined for negative logits, one document, equal scores and zero variance. There are two arithmetics:
`exact`, ours, in double precision and without clamping, and `opensearch`, which repeats what OpenSearch's
normalization and score-ranker processors compute, in their single precision (`sidecar.core.fusion_opensearch`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

from sidecar.core import fusion_opensearch
from sidecar.core.adaptive_weight import adaptive_weight
from sidecar.core.candidates import Candidate
from sidecar.core.errors import FusionError, NonFiniteScore
from sidecar.core.float32 import LARGEST

# One list of scores for each ranker: the first stage, then the model.
Lists = tuple[Sequence[float], Sequence[float]]
Weights = tuple[float, float]


class Method(StrEnum):
    """How the two scores of a document become one."""

    RERANK = "rerank"
    LINEAR = "linear"
    ADAPTIVE = "adaptive"
    RRF = "rrf"
    GEOMETRIC = "geometric"
    HARMONIC = "harmonic"


class Normalization(StrEnum):
    """How a list of scores is brought to a common scale before it is combined; `rerank` and `rrf` need none."""

    MIN_MAX = "min_max"
    Z_SCORE = "z_score"
    L2 = "l2"
    NONE = "none"


class Arithmetic(StrEnum):
    """The arithmetic to use: ours, or OpenSearch's with its clamps."""

    EXACT = "exact"
    OPENSEARCH = "opensearch"


# The model's share if the caller gives none. On every collection tried, equal shares made a linear mean worse.
_SHARES = {Method.LINEAR: 0.9, Method.GEOMETRIC: 0.5, Method.HARMONIC: 0.5}


@dataclass(frozen=True, slots=True)
class Fused:
    """One candidate's fused score, and its two parts: the first stage's and the model's.

    The parts are the normalised scores of a mean or the two reciprocal ranks, before weights; None if the model's
    score is used alone.
    """

    score: float
    normalized: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Fusion:
    """One way of combining first-stage scores with the model's.

    `weight` is the model's share in [0, 1]; the first stage has the rest. None means 0.9 for `linear`, equal shares for
    the other means, and for `rrf` the plain sum of reciprocal ranks that Pyserini computes. `adaptive` is `linear` with
    a weight that is computed for each list. Raises `FusionError` for a combination that would drop or misplace
    documents with negative logits, and says why.
    """

    method: Method = Method.RERANK
    normalization: Normalization = Normalization.MIN_MAX
    weight: float | None = None
    rank_constant: int = 60
    arithmetic: Arithmetic = Arithmetic.EXACT

    def __post_init__(self) -> None:
        if self.weight is not None and not 0 <= self.weight <= 1:
            raise FusionError(
                f"the fusion weight is {self.weight}, not a share between 0 and 1.",
                remedy="It is the model's share; the first stage has the rest.",
            )
        if not 1 <= self.rank_constant <= 10_000:
            raise FusionError(f"the rank constant is {self.rank_constant}, not between 1 and 10000.")
        if self.method is Method.ADAPTIVE and (self.weight is not None or self.arithmetic is Arithmetic.OPENSEARCH):
            raise FusionError(
                "an adaptive fusion takes neither a weight, which it finds for each list, nor OpenSearch's arithmetic.",
                remedy="Use the linear method, or leave both out.",
            )
        if self.method in {Method.LINEAR, Method.GEOMETRIC, Method.HARMONIC}:
            self._refuse_unsound()

    @property
    def model_share(self) -> float | None:
        """Return the weight to use.

        None if the model's score is used alone, if ranks are summed without weights, or if each list has its own.
        """
        if self.method is Method.RERANK:
            return None
        return _SHARES.get(self.method) if self.weight is None else self.weight

    def share_in(self, scores: Sequence[float], candidates: Sequence[Candidate]) -> float | None:
        """The weight that is computed with for this list; None as `model_share`, but for an adaptive fusion."""
        if self.method is Method.ADAPTIVE and candidates:
            return adaptive_weight([candidate.score for candidate in candidates], scores)
        return self.model_share

    def as_dict(self) -> dict[str, object]:
        """Name what decides the order, with the weight that is computed with, as explanations and manifests show it."""
        if self.method is Method.RERANK:
            return {"method": self.method.value}
        scale = {} if self.method is Method.RRF else {"normalization": self.normalization.value}
        constant = {"rank_constant": self.rank_constant} if self.method is Method.RRF else {}
        share = {} if self.model_share is None else {"weight": self.model_share}
        other = {} if self.arithmetic is Arithmetic.EXACT else {"arithmetic": self.arithmetic.value}
        return {"method": self.method.value, **scale, **constant, **share, **other}

    def _refuse_unsound(self) -> None:
        means_need_positive = self.method in {Method.GEOMETRIC, Method.HARMONIC}
        if self.arithmetic is Arithmetic.OPENSEARCH:
            if self.normalization in {Normalization.L2, Normalization.NONE}:
                raise FusionError(
                    f"OpenSearch's arithmetic with {self.normalization.value} drops every negative logit together with "
                    "its weight, so a document the model rejects would keep its whole first-stage score.",
                    remedy="Use min_max or z_score, or the exact arithmetic.",
                )
        elif means_need_positive and self.normalization is not Normalization.MIN_MAX:
            raise FusionError(
                f"a {self.method.value} mean is not defined for negative scores, and {self.normalization.value} leaves "
                "logits negative; dropping those would reward what the model rejects.",
                remedy="Use min_max with it, or the linear method.",
            )

    def fuse(self, scores: Sequence[float], candidates: Sequence[Candidate]) -> list[float]:
        """Return the fused score of each candidate, in the order given; higher is better. Otherwise like `combine`."""
        return [fused.score for fused in self.combine(scores, candidates)]

    def combine(self, scores: Sequence[float], candidates: Sequence[Candidate]) -> list[Fused]:
        """Return the fused score of each candidate with its parts, in the order given.

        `scores` are the model's raw ones, one for each candidate. Raises `NonFiniteScore` for NaN or infinity on
        either side, which is never a rank.
        """
        return self.combine_with_share(scores, candidates)[0]

    def combine_with_share(
        self, scores: Sequence[float], candidates: Sequence[Candidate]
    ) -> tuple[list[Fused], float | None]:
        """Do what `combine` does, and return the model's share in this list, too, as `share_in` has it."""
        first = [candidate.score for candidate in candidates]
        share = self.model_share
        _require_finite(scores, candidates, "the model gave")
        if self.method is Method.RERANK or not candidates:
            return [Fused(float(score)) for score in scores], share
        if self.method is Method.RRF:
            fused = self._reciprocal_ranks(scores, candidates)
        else:
            _require_finite(first, candidates, "the first stage gave")
            share = self.share_in(scores, candidates)
            fused = self._means((first, scores), share or 0.0)
        _require_finite([one.score for one in fused], candidates, "fusion gave")
        return fused, share

    def _means(self, lists: Lists, share: float) -> list[Fused]:
        weights = (1 - share, share)
        if self.arithmetic is Arithmetic.OPENSEARCH:
            rows = fusion_opensearch.normalized(self.normalization.value, lists)
            return _joined(fusion_opensearch.combined(self.method.value, rows, weights), rows)
        normalize = _NORMALIZE[self.normalization]
        combine = _COMBINE[self.method]
        rows = list(zip(normalize(lists[0]), normalize(lists[1]), strict=True))
        return _joined([combine(row, weights) for row in rows], rows)

    def _reciprocal_ranks(self, scores: Sequence[float], candidates: Sequence[Candidate]) -> list[Fused]:
        """Compute Σ wᵢ/(k + rankᵢ), ranks from 1 (Cormack, Clarke and Büttcher, SIGIR 2009); not divided by Σ w."""
        weights = (1.0, 1.0) if self.weight is None else (1 - self.weight, self.weight)
        by_model = ranks(scores, candidates)
        by_engine = ranks([-float(candidate.rank) for candidate in candidates], candidates)
        if self.arithmetic is Arithmetic.OPENSEARCH:
            pairs = list(zip(by_engine, by_model, strict=True))
            rows = fusion_opensearch.reciprocals(pairs, self.rank_constant)
            return _joined(fusion_opensearch.weighted_sums(rows, weights), rows)
        k = self.rank_constant
        rows = [(1 / (k + a), 1 / (k + b)) for a, b in zip(by_engine, by_model, strict=True)]
        sums = [weights[0] / (k + a) + weights[1] / (k + b) for a, b in zip(by_engine, by_model, strict=True)]
        return _joined(sums, rows)


def best_first(scores: Sequence[float], candidates: Sequence[Candidate]) -> list[int]:
    """Return the candidates' positions, best first. Equal scores keep first-stage order, so paging stays stable."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], candidates[i].rank))


def ranks(scores: Sequence[float], candidates: Sequence[Candidate]) -> list[int]:
    """Return the rank of each candidate by `scores`, from 1; ties keep first-stage order."""
    found = [0] * len(scores)
    for rank, position in enumerate(best_first(scores, candidates), start=1):
        found[position] = rank
    return found


def tail_scores(lowest: float, count: int) -> list[float]:
    """Return scores for `count` hits that follow the scored ones: below `lowest`, each 1 lower than the one before.

    Steps of 1 survive the single precision in which trec_eval and Lucene compare scores. From 2^53 on, where
    subtracting 1 gives the same float, each is the next lower float.
    """
    tail: list[float] = []
    for _ in range(count):
        lowest = min(lowest - 1, math.nextafter(lowest, -math.inf))
        tail.append(lowest)
    return tail


def min_max(scores: Sequence[float]) -> list[float]:
    """Scale to [0, 1]; equal scores are all 1."""
    low, high = min(scores), max(scores)
    return [1.0 if low == high else (score - low) / (high - low) for score in scores]


def z_score(scores: Sequence[float]) -> list[float]:
    """Return the distance from the mean in sample standard deviations; 0 for equal scores, and for a single one."""
    if min(scores) == max(scores):
        return [0.0] * len(scores)
    mean, deviation = fmean(scores), stdev(scores)
    return [(score - mean) / deviation for score in scores]


def l2(scores: Sequence[float]) -> list[float]:
    """Divide by the Euclidean norm; all stay 0 if the norm is 0."""
    norm = math.hypot(*scores)
    return [0.0 if norm == 0 else score / norm for score in scores]


def _arithmetic(pair: tuple[float, float], weights: Weights) -> float:
    return (weights[0] * pair[0] + weights[1] * pair[1]) / (weights[0] + weights[1])


def _geometric(pair: tuple[float, float], weights: Weights) -> float:
    # 0 ** 0 is 1 in Python, so a ranker with weight 0 can't make a document's score 0.
    return math.pow(pair[0], weights[0]) * math.pow(pair[1], weights[1])


def _harmonic(pair: tuple[float, float], weights: Weights) -> float:
    counted = [(score, weight) for score, weight in zip(pair, weights, strict=True) if weight > 0]
    if any(score == 0 for score, _ in counted):
        return 0.0  # the limit of the mean as a score goes to 0
    return sum(weight for _, weight in counted) / sum(weight / score for score, weight in counted)


_NORMALIZE: dict[Normalization, Callable[[Sequence[float]], list[float]]] = {
    Normalization.MIN_MAX: min_max,
    Normalization.Z_SCORE: z_score,
    Normalization.L2: l2,
    Normalization.NONE: list,
}
_COMBINE: dict[Method, Callable[[tuple[float, float], Weights], float]] = {
    Method.LINEAR: _arithmetic,
    Method.ADAPTIVE: _arithmetic,
    Method.GEOMETRIC: _geometric,
    Method.HARMONIC: _harmonic,
}


def _joined(scores: Sequence[float], rows: Sequence[tuple[float, float]]) -> list[Fused]:
    return [Fused(score, row) for score, row in zip(scores, rows, strict=True)]


def _require_finite(scores: Sequence[float], candidates: Sequence[Candidate], who: str) -> None:
    for score, candidate in zip(scores, candidates, strict=True):
        # An engine's scores and a model's are single precision; sums and squares of larger ones overflow.
        if not abs(score) <= LARGEST:
            raise NonFiniteScore(f"{who} the score {score} for document {candidate.docid!r}.")
