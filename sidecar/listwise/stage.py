"""Stage two on rankings: sorts their first hits by a generator, and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from sidecar.core.candidates import Candidate, Ranking, RanksMany
from sidecar.core.errors import ScorerUnavailable, ScoringError, SidecarError
from sidecar.core.listwise_spec import ListwisePrompt, ListwiseSpec
from sidecar.core.reasons import Reason, Why
from sidecar.core.stage_two import StageTwo
from sidecar.listwise.prompt import Chat
from sidecar.listwise.windows import Answer, Sorted, Sorting, advance, sort_windows
from sidecar.scoring.prefetch import prefetch

Key = TypeVar("Key")

# A failure after this share of the time counts as one for lack of time.
NEARLY = 0.9


class Generator(Protocol):
    """A model that answers chats: `GeneratorThread`, `LocalGenerator`.

    `prompt` is the wording that it wants, `identity` tells it from others whose answers may differ.
    """

    prompt: ListwisePrompt
    identity: str

    def answer(self, chat: Chat, *, seconds: float) -> Answer:
        """Answer a chat within `seconds`. Raises ScorerUnavailable, ScoringError."""
        ...

    def cancel(self) -> None:
        """Give up the chats that are being answered."""
        ...


class ListwiseStage:
    """A generator with the options of stage two. Every method may be called from any thread.

    A generator that fails, or does not finish a query within the seconds of `spec.remote.timeout`, raises its error;
    with `fail_open` the ranking keeps the order of stage one and says why.
    """

    def __init__(self, generator: Generator, spec: ListwiseSpec, *, fail_open: bool = False) -> None:
        self.generator = generator
        self.spec = spec
        self.fail_open = fail_open

    def reorder(self, ranking: Ranking) -> Ranking:
        """Return the ranking with its first scored hits in the generator's order. Raises what the generator raises."""
        started = time.perf_counter()
        depth = depth_of(ranking, self.spec)
        if depth < 2:
            return ranking
        try:
            found = self._sorted(sorting_of(ranking, self.spec, self.generator.prompt), self.spec.remote.timeout)
        except SidecarError as error:
            if not self.fail_open:
                raise
            late = time.perf_counter() - started > NEARLY * self.spec.remote.timeout
            return replace(ranking, stage_two=StageTwo(depth, (), why_of(error, late=late)))
        ranking = reordered(ranking, found)
        return replace(ranking, seconds={**ranking.seconds, "listwise": time.perf_counter() - started})

    def reorder_all(self, rankings: Iterable[tuple[Key, Ranking]]) -> Iterator[tuple[Key, Ranking]]:
        """Yield each ranking as `reorder` returns it, in the order given; a remote generator is asked for several."""
        most = self.spec.remote.concurrency if self.spec.is_remote else 1
        work = prefetch(
            rankings, lambda one: self.reorder(one[1]), ahead=most, workers=most, stop=self.generator.cancel
        )
        for (key, _), ranking in work:
            yield key, ranking

    def close(self) -> None:
        """Close the generator's connections, if it has any."""
        close = getattr(self.generator, "close", None)
        if close is not None:
            close()

    def _sorted(self, sorting: Sorting, seconds: float) -> Sorted:
        """Drive a sorting to its end by the generator's answers."""
        deadline, step = time.monotonic() + seconds, advance(sorting, None)
        while not isinstance(step, Sorted):
            left = deadline - time.monotonic()
            if left <= 0:
                raise too_late(seconds)
            step = advance(sorting, self.generator.answer(step, seconds=left))
        return step


class TwoStages:
    """Ranks by stage one, wherever that runs, and then by stage two."""

    def __init__(self, first: RanksMany, second: ListwiseStage) -> None:
        self._first, self._second = first, second

    def rank_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """Yield the ranking of each query, in the order given, with the key that came with it."""
        return self._second.reorder_all(self._first.rank_all(asked))


def depth_of(ranking: Ranking, spec: ListwiseSpec) -> int:
    """Return how many hits of a ranking stage two puts in order: hits without text stay behind."""
    return min(spec.depth, ranking.scored)


def sorting_of(ranking: Ranking, spec: ListwiseSpec, prompt: ListwisePrompt) -> Sorting:
    """Start to sort the first hits of a ranking."""
    passages = [hit.candidate.passage for hit in ranking.hits[: depth_of(ranking, spec)]]
    return sort_windows(ranking.query, passages, spec, prompt)


def reordered(ranking: Ranking, found: Sorted) -> Ranking:
    """Put the first hits in the order found. The fused scores stay with their places, so that they never rise.

    Each hit keeps the model's score, and gets the rank and the fused score that it had as `stage_one`.
    """
    depth = len(found.order)
    outcome = StageTwo(depth, found.windows)
    if outcome.unreadable:
        words = f"{outcome.unreadable} of {len(found.windows)} answers of the generator hold no order"
        outcome = replace(outcome, why=Why(Reason.STAGE_TWO_UNREADABLE, words))
    if not outcome.applied:
        return replace(ranking, stage_two=outcome)
    top = [ranking.hits[position] for position in found.order]
    hits = [
        replace(hit, rank=place.rank, score=place.score, stage_one=(hit.rank, hit.score))
        for hit, place in zip(top, ranking.hits, strict=False)
    ]
    return replace(ranking, hits=(*hits, *ranking.hits[depth:]), stage_two=outcome)


def too_late(seconds: float) -> ScorerUnavailable:
    """Make the error for a query whose windows are not all sorted in time."""
    return ScorerUnavailable(
        f"not finished within {seconds:.3g} s",
        remedy="Raise SIDECAR_LISTWISE_TIMEOUT, or lower SIDECAR_LISTWISE_DEPTH.",
    )


def why_of(error: SidecarError, *, late: bool) -> Why:
    """Return the reason for one of our errors; `late` says that the time was over."""
    reason = Reason.STAGE_TWO_FAILED if isinstance(error, ScoringError) else Reason.STAGE_TWO_UNAVAILABLE
    return Why(Reason.STAGE_TWO_TOO_SLOW if late else reason, f"stage two: {error.message}")
