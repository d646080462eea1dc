"""Portions at several scorer processes: sends them, keeps their scores, and decides about those of a failed process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sidecar.core.errors import ScorerEnded, ScorerUnavailable, SidecarError
from sidecar.serving.scorer.pool_member import PoolMember, SentBatch
from sidecar.serving.scorer.pooled_job import PooledJob, Portion

_log = logging.getLogger("sidecar.scorer")


class PoolWork:
    """The work of the processes.

    `scored` is called with a job and the positions of its passages that got a score or were given up, `settle` after
    everything that may let a process take more.

    A portion that a process lost or failed at goes to another process, once. What a process was computing when it ended
    or became silent may be the reason. It goes to another one only if a third is there: a query that kills processes
    must not kill the last.
    """

    def __init__(
        self,
        members: Sequence[PoolMember],
        scored: Callable[[PooledJob, Sequence[int]], None],
        settle: Callable[[], None],
    ) -> None:
        self._members = members
        self._scored = scored
        self._settle = settle
        self._places: dict[Portion, tuple[PoolMember, SentBatch]] = {}

    def send(self, member: PoolMember, portions: Sequence[Portion], *, expected: float | None) -> None:
        """Send a process a batch that should take `expected` seconds; None if that is not known."""
        tokens = sum(sum(portion.tokens) for portion in portions)
        batch = SentBatch(time.monotonic(), tokens, computing=not member.batches)
        member.begin(batch, expected=expected)
        for portion in portions:
            portion.job.portions.add(portion)
            self._places[portion] = member, batch
            batch.portions[portion] = asyncio.create_task(self._score(member, portion))

    def take_back(self, job: PooledJob) -> None:
        """Keep what is scored of a job, and drop the rest."""
        for portion in list(job.portions):
            self._cancel(portion)
        self._settle()

    def move_from_silent(self) -> None:
        """Give the batches of a silent process to another process; that which it computes only if a third is there."""
        now = time.monotonic()
        for member in (member for member in self._members if member.silent(now)):
            for batch in list(member.batches):
                spare = 2 if batch.computing else 1
                for portion in list(batch.portions):
                    if len(others := self._others(member, portion)) >= spare:
                        self._cancel(portion)
                        self._move(others[0], portion)

    async def _score(self, member: PoolMember, portion: Portion) -> None:
        job, at = portion.job, portion.positions
        failure: Exception | None
        try:
            left = replace(job.terms, seconds=max(0.0, job.deadline - time.monotonic()))
            passages = job.passages[at.start : at.stop]
            with member.process.sent(job.model, job.query, passages, portion.tokens, left) as pending:
                portion.pending = pending
                await pending.done.wait()
                failure = pending.failure
        except ScorerUnavailable as error:
            failure = error
        _, batch = self._places[portion]
        computing = batch.computing
        self._remove(portion, done=True)
        if failure is None:
            member.breaker.succeeded()
            if portion.failed_at is not None:
                self._blame(portion.failed_at)
        elif isinstance(failure, ScorerUnavailable):
            self._lost(member, portion, failure, spare=2 if computing else 1)
        elif isinstance(failure, SidecarError):
            self._failed(member, portion, failure)
        self._settle()

    def _lost(self, member: PoolMember, portion: Portion, reason: SidecarError, *, spare: int) -> None:
        """Move a portion whose process ended if `spare` others are there; otherwise give it up."""
        others = self._others(member, portion)
        if len(others) >= spare:
            self._move(others[0], portion)
        else:
            ended = ScorerEnded(reason.message)
            self._scored(portion.job, portion.job.give_up(portion.positions, ended))

    def _failed(self, member: PoolMember, portion: Portion, reason: SidecarError) -> None:
        """Let another process try what one could not score: the reason may be the query or the process."""
        if others := self._others(member, portion):
            portion.failed_at = member
            self._move(others[0], portion)
        else:
            portion.job.refuse(reason)

    def _blame(self, member: PoolMember) -> None:
        """Count a failure of a process at what another could score; replace the process after several in a row."""
        was_open = member.breaker.open
        member.breaker.failed(time.monotonic())
        if member.breaker.open and not was_open:
            _log.error("the scorer on %s failed repeatedly at what others could score", member.process.device)
            member.process.replace("the scorer failed repeatedly and is being replaced")

    def _others(self, member: PoolMember, portion: Portion) -> list[PoolMember]:
        """Return the other processes that may score a portion, the least busy first; none if it was moved before."""
        if portion.moves:
            return []
        now = time.monotonic()
        found = [
            other
            for other in self._members
            if other is not member and portion.job.key in other.served()
            if not other.left_alone(now)
        ]
        return sorted(found, key=lambda other: len(other.batches))

    def _move(self, member: PoolMember, portion: Portion) -> None:
        portion.moves += 1
        portion.pending = None
        self.send(member, [portion], expected=None)

    def _cancel(self, portion: Portion) -> None:
        _, batch = self._places[portion]
        batch.portions[portion].cancel()
        self._remove(portion, done=False)

    def _remove(self, portion: Portion, *, done: bool) -> None:
        """Keep the scores of a portion that its process no longer has; `done` if the process was done with it."""
        job = portion.job
        self._scored(job, job.take(portion))
        job.portions.discard(portion)
        member, batch = self._places.pop(portion)
        del batch.portions[portion]
        if not batch.portions:
            member.finish(batch, done=done)
