"""Fuse the scores of many queries at once, with the same numbers as `sidecar.core.fusion` gives query by query.

Scores are normalised once for each list; a weight more is then one multiplication of arrays. What `Fusion` computes in
OpenSearch's arithmetic, which rounds after each step, is left to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidecar.core.adaptive_weight import adaptive_weight
from sidecar.core.candidates import Candidate, Passage
from sidecar.core.errors import NonFiniteScore
from sidecar.core.float32 import LARGEST
from sidecar.core.fusion import Arithmetic, Fusion, Method, Normalization, l2, min_max, z_score

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_NORMALIZE: dict[Normalization, Callable[[Sequence[float]], list[float]]] = {
    Normalization.MIN_MAX: min_max,
    Normalization.Z_SCORE: z_score,
    Normalization.L2: l2,
    Normalization.NONE: list,
}
_NO_TEXT = Passage("", "")


@dataclass(frozen=True, slots=True)
class ScoredList:
    """The candidates of a query as numbers, in first-stage order.

    `first` and `model` have one score each; `model` is NaN for a candidate without text, which is never scored.
    """

    docids: Sequence[str]
    first: Floats
    model: Floats

    def windowed(self, window: int) -> _Window:
        """Return the first `window` candidates that were scored."""
        positions = np.flatnonzero(~np.isnan(self.model[:window]))
        return _Window(positions, self.first[positions], self.model[positions])


@dataclass(frozen=True, slots=True)
class _Window:
    positions: Whole
    first: Floats
    model: Floats


@dataclass(slots=True)
class FusionArrays:
    """The scored lists of some queries within a `window`, fused by any number of fusions.

    Raises `NonFiniteScore` for a score of the first stage that is NaN or beyond single precision.
    """

    lists: Sequence[ScoredList]
    window: int
    _windows: list[_Window] = field(init=False)
    _bounds: Whole = field(init=False)
    _kept: dict[object, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._windows = [one.windowed(self.window) for one in self.lists]
        self._bounds = np.cumsum([0, *(len(one.positions) for one in self._windows)])
        if any(not (np.abs(one.first) <= LARGEST).all() for one in self._windows):
            raise NonFiniteScore("the first stage gave a score that is not finite, or beyond single precision.")

    def orders(self, fusion: Fusion, depth: int) -> list[list[str]]:
        """Return the first `depth` docids of each query, best first.

        First the scored ones of the window by fused score, then the window's others, then those beyond the window, each
        in first-stage order; equal scores keep first-stage order.
        """
        fused = self.fused(fusion)
        return [
            self._order(one, window, fused[start:stop], depth)
            for one, window, start, stop in zip(
                self.lists, self._windows, self._bounds[:-1], self._bounds[1:], strict=True
            )
        ]

    @property
    def scored(self) -> list[int]:
        """Return how many candidates of each query were scored."""
        return [len(one.positions) for one in self._windows]

    def fused(self, fusion: Fusion) -> Floats:
        """Return the fused scores of all scored candidates, query by query, each in first-stage order.

        Raises `NonFiniteScore` if one of them is NaN or infinite.
        """
        fused = self._fused(fusion)
        if not np.isfinite(fused).all():
            raise NonFiniteScore(f"the fusion {fusion.as_dict()} gave a score that is not finite.")
        return fused

    def _fused(self, fusion: Fusion) -> Floats:
        if fusion.arithmetic is Arithmetic.OPENSEARCH:
            return self._one_by_one(fusion)
        if fusion.method is Method.RERANK:
            return self._flat("model")
        if fusion.method is Method.RRF:
            return self._reciprocal_ranks(fusion)
        first, model = self._normalized("first", fusion.normalization), self._normalized("model", fusion.normalization)
        if fusion.method is Method.ADAPTIVE:
            share: Floats | float = self._adaptive_shares()
        else:
            share = fusion.model_share or 0.0
        return _COMBINE[fusion.method](first, model, 1 - share, share)

    def _order(self, one: ScoredList, window: _Window, fused: Floats, depth: int) -> list[str]:
        best = window.positions[np.argsort(-fused, kind="stable")[:depth]].tolist()
        if len(best) < depth:
            scored = set(window.positions.tolist())
            best += [place for place in range(min(len(one.docids), depth + len(scored))) if place not in scored]
        return [one.docids[place] for place in best[:depth]]

    def _flat(self, name: str) -> Floats:
        found: Floats = np.concatenate([np.empty(0), *(getattr(one, name) for one in self._windows)])
        return found

    def _normalized(self, name: str, normalization: Normalization) -> Floats:
        def compute() -> Floats:
            rows = [getattr(one, name).tolist() for one in self._windows]
            return np.array([value for row in rows if row for value in _NORMALIZE[normalization](row)], dtype=float)

        found: Floats = self._once((name, normalization), compute)
        return found

    def _adaptive_shares(self) -> Floats:
        def compute() -> Floats:
            shares = [
                adaptive_weight(one.first.tolist(), one.model.tolist()) if len(one.positions) else 0.0
                for one in self._windows
            ]
            return np.repeat(np.array(shares, dtype=float), np.diff(self._bounds))

        found: Floats = self._once("adaptive", compute)
        return found

    def _reciprocal_ranks(self, fusion: Fusion) -> Floats:
        def ranks() -> tuple[Floats, Floats]:
            engine = [np.arange(1, len(one.positions) + 1) for one in self._windows]
            model = [_ranks(one.model) for one in self._windows]
            return np.concatenate([np.empty(0), *engine]), np.concatenate([np.empty(0), *model])

        by_engine, by_model = self._once("ranks", ranks)
        first, share = (1.0, 1.0) if fusion.weight is None else (1 - fusion.weight, fusion.weight)
        fused: Floats = first / (fusion.rank_constant + by_engine) + share / (fusion.rank_constant + by_model)
        return fused

    def _one_by_one(self, fusion: Fusion) -> Floats:
        found: list[float] = []
        for one in self._windows:
            candidates = [
                Candidate("", rank, score, _NO_TEXT) for rank, score in enumerate(one.first.tolist(), start=1)
            ]
            found += fusion.fuse(one.model.tolist(), candidates) if candidates else []
        return np.array(found, dtype=float)

    def _once(self, key: object, compute: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]


def _ranks(scores: Floats) -> Whole:
    found = np.empty(len(scores), dtype=np.int64)
    found[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return found


def _linear(first: Floats, model: Floats, one: Floats | float, two: Floats | float) -> Floats:
    fused: Floats = (one * first + two * model) / (one + two)
    return fused


# numpy's power differs from Python's in the last digit, and a tie must stay one.
_POWER = np.frompyfunc(math.pow, 2, 1)


def _geometric(first: Floats, model: Floats, one: float, two: float) -> Floats:
    fused: Floats = np.asarray(_POWER(first, one), dtype=float) * np.asarray(_POWER(model, two), dtype=float)
    return fused


def _harmonic(first: Floats, model: Floats, one: float, two: float) -> Floats:
    total, below, zero = 0.0, np.zeros(len(first)), np.zeros(len(first), dtype=bool)
    for scores, weight in ((first, one), (model, two)):
        if weight > 0:
            zero |= scores == 0
            below = below + np.divide(weight, scores, out=np.zeros(len(scores)), where=scores != 0)
            total += weight
    return np.divide(total, below, out=np.zeros(len(first)), where=~zero)


_COMBINE: dict[Method, Callable[..., Floats]] = {
    Method.LINEAR: _linear,
    Method.ADAPTIVE: _linear,
    Method.GEOMETRIC: _geometric,
    Method.HARMONIC: _harmonic,
}
