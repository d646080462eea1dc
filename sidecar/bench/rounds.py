"""Time systems in turn, round after round, so that a disturbance of the machine affects all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.bench.system import System
from sidecar.bench.work import LEAST_PASSAGES, Query, cut

Clock = Callable[[], float]
# The work is adjusted at most this often, and not for a smaller difference: times vary by as much anyway.
_TRIALS, _NEARLY = 3, 0.8


class Watch(Protocol):
    """A meter of bytes in use, such as `sidecar.bench.measures.Memory`."""

    def now(self) -> int | None:
        """Return the bytes in use now."""
        ...

    def peak(self) -> int | None:
        """Return the most bytes since `forget`."""
        ...

    def forget(self) -> None:
        """Start a new peak."""
        ...


@dataclass(slots=True)
class Timing:
    """One system's scores of the last pass by query, the seconds of each round, and the peak of a pass in bytes."""

    scores: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    peak: int | None = None


def timed(system: System, work: Sequence[Query], clock: Clock) -> tuple[float, list[list[float]]]:
    """Score all queries, one after the other; return seconds and scores."""
    began = clock()
    scores = [system.score(query) for query in work]
    return clock() - began, scores


def fit(systems: Sequence[System], queries: Sequence[Query], *, rounds: int, until: float, clock: Clock) -> list[Query]:
    """Cut the work to what `rounds` rounds of all systems can do by that time, and warm every system up on it.

    Queries come most typical first. A small sample gives a first estimate, and a trial round checks whether it
    fits; `LEAST_PASSAGES` are always kept, even if they take longer.
    """
    work = [queries[0].sample(LEAST_PASSAGES)]
    _round(systems, work, clock)  # compiles and allocates
    for _ in range(_TRIALS):
        seconds = _round(systems, work, clock)
        left = max(0.0, until - clock())
        # One more round for the warm-up, one for the oracle.
        fits = count(work) * left / (rounds + 2) / max(seconds, 1e-9)
        tried = cut(queries, max(LEAST_PASSAGES, int(min(fits, count(queries)))))
        if _NEARLY <= count(tried) / count(work) <= 1 / _NEARLY:
            return work
        work = tried
    _round(systems, work, clock)
    return work


def count(work: Sequence[Query]) -> int:
    """Return the pairs of all queries."""
    return sum(len(query.passages) for query in work)


def _round(systems: Sequence[System], work: Sequence[Query], clock: Clock) -> float:
    return sum(timed(system, work, clock)[0] for system in systems)


def interleave(
    systems: Sequence[System], work: Sequence[Query], *, rounds: int, clock: Clock, memory: Watch
) -> list[Timing]:
    """Time every system once in each round; each round starts with another one, so that none always follows the same.

    Memory is measured in the first round.
    """
    timings = [Timing() for _ in systems]
    for number in range(rounds):
        for turn in range(len(systems)):
            index = (number + turn) % len(systems)
            timing = timings[index]
            before = memory.now()
            memory.forget()
            seconds, timing.scores = timed(systems[index], work, clock)
            timing.seconds.append(seconds)
            peak = memory.peak()
            if number == 0 and before is not None and peak is not None:
                timing.peak = max(0, peak - before)
    return timings
