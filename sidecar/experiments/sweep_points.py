"""Measure every point of a sweep, choose one by some queries, and report it on the others. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sidecar.core.fusion import Fusion, Method
from sidecar.experiments.evaluate import Comparison, Measuring
from sidecar.experiments.fusion_arrays import FusionArrays, ScoredList
from sidecar.experiments.query_split import Split

# First stage → model → one scored list for each query, in the order of the queries.
Scored = Mapping[str, Mapping[str, Sequence[ScoredList]]]


@dataclass(frozen=True, slots=True)
class Point:
    """A setting of a sweep; `model`, `window` and `fusion` are None for a first stage alone.

    `listwise` is the name of a stage two, None without one.
    """

    stage: str
    model: str | None = None
    window: int | None = None
    fusion: Fusion | None = None
    listwise: str | None = None


class StageTwoOrders(Protocol):
    """A stage two: it puts the first hits of queries in another order."""

    @property
    def depth(self) -> int:
        """Return how many hits of a query it orders at most."""
        ...

    def orders(self, stage: str, tops: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return the docids of each query, which a first stage found, in their new order."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """A point with its value for each query, and its means over the queries to `choose` by and to `report` on."""

    point: Point
    by_query: Mapping[str, float]
    choose: float
    report: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The best point by the choosing queries, compared on the reported ones.

    `first_stage` and `model_alone` are the same first stage, model and window without a fusion; `stage_one` is the same
    point without its stage two, None if it has none. `against_…` compare the best point with them.
    """

    best: Measured
    first_stage: Measured
    model_alone: Measured
    against_first_stage: Comparison
    against_model_alone: Comparison
    stage_one: Measured | None = None
    against_stage_one: Comparison | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The results of a sweep: the first stages alone, all points, the choice, and the queries of both sets."""

    first_stages: Sequence[Measured]
    points: Sequence[Measured]
    choice: Choice
    split: Split
    measure: str


@dataclass(frozen=True, slots=True)
class SweepMeasures:
    """Measures points over `qids`, the queries of every list; `hits` is the depth of what is measured.

    Each point is measured without a stage two, and with each of `stages_two`.
    """

    measuring: Measuring
    split: Split
    qids: Sequence[str]
    hits: int
    stages_two: Mapping[str, StageTwoOrders] = field(default_factory=dict)

    def first_stages(self, scored: Scored) -> list[Measured]:
        """Measure each first stage alone."""
        return [
            self._measured(Point(stage), [one.docids for one in next(iter(models.values()))])
            for stage, models in scored.items()
        ]

    def points(self, scored: Scored, windows: Sequence[int], fusions: Sequence[Fusion]) -> Iterator[Measured]:
        """Measure each first stage, model, window, fusion and stage two.

        Raises what `FusionArrays` and the stages two raise.
        """
        depth = min(self.measuring.cutoff or self.hits, self.hits)
        for stage, models in scored.items():
            for model, lists in models.items():
                for window in windows:
                    arrays = FusionArrays(lists, window)
                    for fusion in fusions:
                        point = Point(stage, model, window, fusion)
                        yield self._measured(point, arrays.orders(fusion, depth))
                        for name, second in self.stages_two.items():
                            orders = arrays.orders(fusion, max(depth, second.depth))
                            moved = self._moved(second, stage, orders, arrays.scored)
                            yield self._measured(replace(point, listwise=name), moved)

    def _moved(
        self, second: StageTwoOrders, stage: str, orders: Sequence[Sequence[str]], scored: Sequence[int]
    ) -> list[list[str]]:
        """Return the orders with their first scored hits as a stage two puts them."""
        depths = [min(second.depth, count) for count in scored]
        tops = {qid: order[:most] for qid, order, most in zip(self.qids, orders, depths, strict=True)}
        found = second.orders(stage, tops)
        return [[*found[qid], *order[most:]] for qid, order, most in zip(self.qids, orders, depths, strict=True)]

    def choose(self, scored: Scored, first_stages: Sequence[Measured], points: Sequence[Measured]) -> Choice:
        """Choose the point with the highest mean over the choosing queries; of equal ones the first."""
        best = max(points, key=lambda one: one.choose)
        [first] = [one for one in first_stages if one.point.stage == best.point.stage]
        stage, model, window = best.point.stage, best.point.model, best.point.window
        alone = next(self.points({stage: {model or "": scored[stage][model or ""]}}, [window or 1], [Fusion()]))
        choice = Choice(best, first, alone, self._against(first, best), self._against(alone, best))
        if best.point.listwise is None:
            return choice
        without = next(one for one in points if one.point == replace(best.point, listwise=None))
        return replace(choice, stage_one=without, against_stage_one=self._against(without, best))

    def _against(self, before: Measured, after: Measured) -> Comparison:
        return self.measuring.compare(before.by_query, after.by_query, self.split.report)

    def _measured(self, point: Point, orders: Sequence[Sequence[str]]) -> Measured:
        depth = self.measuring.cutoff or self.hits
        run = {
            qid: {docid: -float(rank) for rank, docid in enumerate(order[:depth])}
            for qid, order in zip(self.qids, orders, strict=True)
            if order
        }
        values = self.measuring.by_query(run)
        means = (self.measuring.mean(values, qids) for qids in (self.split.choose, self.split.report))
        return Measured(point, values, *means)


def words_of(fusion: Fusion) -> str:
    """Return a fusion in a few words for a table."""
    if fusion.method is Method.RERANK:
        return "rerank"
    told = fusion.as_dict()
    named = {"rank_constant": "k", "weight": "weight"}
    return " ".join(f"{named[name]} {value:g}" if name in named else str(value) for name, value in told.items())
