"""A request to several scorer processes, and the portions of it that they score."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import SidecarError
from sidecar.serving.scorer.pending import PendingJob
from sidecar.serving.scorer.terms import Terms
from sidecar.serving.scorer.work_times import WorkTimes

if TYPE_CHECKING:
    from sidecar.serving.scorer.pool_member import PoolMember


@dataclass(eq=False, slots=True)
class PooledJob:
    """Passages to score against a query until `deadline`, by `time.monotonic`.

    `key` names the model with its identity: only processes that have this very model may score it. `tokens` estimates
    those of each passage. `missing`
    passages are neither scored nor given up. `done` is set when nothing is missing, or with an error that concerns the
    whole job (`refused`). `lost` is the reason why passages were given up. `times` says when processes worked on it.
    """

    key: str
    model: str
    query: str
    passages: Sequence[Passage]
    tokens: list[int]
    deadline: float
    terms: Terms
    scores: list[Score | None] = field(init=False)
    missing: int = field(init=False)
    portions: set[Portion] = field(default_factory=set)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    refused: SidecarError | None = None
    lost: SidecarError | None = None
    times: WorkTimes = field(default_factory=WorkTimes)
    _given_up: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.scores = [None] * len(self.passages)
        self.missing = len(self.passages)

    def take(self, portion: Portion) -> list[int]:
        """Keep what a process has of a portion that leaves it; return the positions of the scores that are new."""
        if portion.pending is None:
            return []
        self.times.add(portion.pending.times)
        fresh = []
        for position, score in zip(portion.positions, portion.pending.scores, strict=True):
            if score is not None and self.scores[position] is None and position not in self._given_up:
                self.scores[position] = score
                fresh.append(position)
        self._settled(len(fresh))
        return fresh

    def give_up(self, positions: range, reason: SidecarError) -> list[int]:
        """Leave passages without a score; return the positions that were missing."""
        open_ones = [at for at in positions if self.scores[at] is None and at not in self._given_up]
        self._given_up.update(open_ones)
        self.lost = self.lost or reason
        self._settled(len(open_ones))
        return open_ones

    def refuse(self, reason: SidecarError) -> None:
        """End the job: its query can't be scored."""
        self.refused = reason
        self.done.set()

    def open_positions(self) -> list[int]:
        """Return the positions that are neither scored nor given up."""
        return [at for at, score in enumerate(self.scores) if score is None and at not in self._given_up]

    def _settled(self, count: int) -> None:
        self.missing -= count
        if not self.missing:
            self.done.set()


@dataclass(eq=False, slots=True)
class Portion:
    """Consecutive passages of a job. `pending` is what a process has of it; `moves` how often another one got it.

    `failed_at` is the process that could not score it.
    """

    job: PooledJob
    positions: range
    pending: PendingJob | None = None
    moves: int = 0
    failed_at: PoolMember | None = None

    def part(self, within: range) -> Portion:
        """Return a part of the portion, by positions in it."""
        return Portion(self.job, self.positions[within.start : within.stop])

    @property
    def tokens(self) -> list[int]:
        """Return the estimated tokens of its passages."""
        return self.job.tokens[self.positions.start : self.positions.stop]
