"""The present jobs in the scorer's process, and the loop that owns the device: one batch after the other."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.candidates import Score
from sidecar.core.errors import SidecarError
from sidecar.scoring import Scorer
from sidecar.serving.scorer import scheduler as scheduling
from sidecar.serving.scorer.protocol import BatchReport, Drop, Failed, FromScorer, Ping, Slice
from sidecar.serving.scorer.scheduler import Scheduler, Waiting
from sidecar.serving.scorer.tokenizer_thread import SLICE, ArrivedJob, Delivery, TokenizedSlice

Parts = Sequence[tuple[int, range]]


@dataclass(slots=True)
class _Held:
    """A job's tokenised slices, by their position in the job; a slice whose passages are scored is removed.

    The tokenising of the first one began at `begun`, that of the last one so far ended at `ended`.
    """

    scorer: Scorer
    portions: dict[int, Any] = field(default_factory=dict)
    read: int = 0
    begun: float = 0.0
    ended: float = 0.0

    def keep(self, part: TokenizedSlice) -> None:
        self.portions[self.read] = part.tokenized
        self.begun = self.begun or part.begun
        self.ended = part.ended
        self.read += 1

    def tokenised_before(self, now: float) -> tuple[float, float]:
        """Return how long before `now` the tokenising began and ended, in seconds."""
        return now - self.begun, now - self.ended

    def take(self, positions: range) -> list[Any]:
        """Return the tokenised passages at these positions, which follow those taken before."""
        taken = []
        for place in range(positions.start // SLICE, (positions.stop - 1) // SLICE + 1):
            start, stop = (min(max(at - place * SLICE, 0), SLICE) for at in (positions.start, positions.stop))
            taken.append(self.portions[place].part(start, stop))
            if stop == SLICE:
                del self.portions[place]
        return taken


class DeviceLoop:
    """Scores tokenised slices in the scheduler's order, and sends the scores."""

    def __init__(self, send: Callable[[FromScorer], None], scheduler: Scheduler) -> None:
        self.send = send
        self.scheduler = scheduler
        self._held: dict[int, _Held] = {}

    def work(self, inbox: queue.SimpleQueue[Delivery | None]) -> None:
        """Work until None is delivered."""
        while True:
            # All deliveries are processed before the next batch is made: they may belong to it.
            while not (inbox.empty() and self.scheduler.ready):
                delivery = inbox.get()
                if delivery is None:
                    return
                self._take(delivery)
            batch = self.scheduler.next(time.monotonic())
            if batch is not None:
                self._begin(batch)
            for number in self._held.keys() - self.scheduler.jobs.keys():
                del self._held[number]

    def _take(self, delivery: Delivery) -> None:
        if isinstance(delivery, Ping):
            self.send(delivery)
        elif isinstance(delivery, Drop):
            self.scheduler.drop(delivery.number)
        elif isinstance(delivery, ArrivedJob):
            job = delivery.job
            self._held[job.number] = _Held(delivery.scorer)
            total = len(job.passages)
            self.scheduler.add(Waiting(job.number, job.caller, job.model, total, delivery.deadline, job.priority))
        elif delivery.number in self.scheduler.jobs:
            self._take_slice(delivery)

    def _take_slice(self, part: TokenizedSlice) -> None:
        if part.error is not None:
            self._fail(part.number, part.error)
        else:
            self._held[part.number].keep(part)
            self.scheduler.read(part.number, part.lengths)

    def _begin(self, batch: scheduling.Batch) -> None:
        tokenized = {number: self._held[number].take(positions) for number, positions in batch.parts}
        self._score(batch.model, batch.parts, tokenized)

    def _score(self, model: str, parts: Parts, tokenized: Mapping[int, list[Any]]) -> None:
        wanted = [one for number, _ in parts for one in tokenized[number]]
        scorer = self._held[parts[0][0]].scorer
        if any(
            self._held[number].scorer is not scorer for number, _ in parts
        ):  # the model was reloaded while they waited
            self._apart(model, parts, tokenized)
            return
        started = time.monotonic()
        try:
            found = iter(scorer.score_all(wanted))
        except Exception as error:  # noqa: BLE001  an error of one job must not end the loop
            if len(parts) == 1:
                self._fail(parts[0][0], error)
            else:  # each job is scored alone, to find the one that fails
                self._apart(model, parts, tokenized)
            return
        seconds, tokens = time.monotonic() - started, sum(sum(one.lengths) for one in wanted)
        self.scheduler.measured(model, tokens, seconds)
        slices = []
        for number, positions in parts:
            scores: list[Score] = [score for _ in tokenized[number] for score in next(found)]
            slices.append(Slice(number, positions.start, scores, self._held[number].tokenised_before(started)))
        self.send(BatchReport(model, tokens, seconds, self.scheduler.tokens, slices))

    def _apart(self, model: str, parts: Parts, tokenized: Mapping[int, list[Any]]) -> None:
        for part in parts:
            self._score(model, [part], tokenized)

    def _fail(self, number: int, error: Exception) -> None:
        self.scheduler.drop(number)
        self.send(failure(number, error))


def failure(number: int, error: Exception) -> Failed:
    """Return the frame that reports an error; our own errors keep their message and remedy."""
    if isinstance(error, SidecarError):
        return Failed(number, type(error).__name__, error.message, error.remedy)
    return Failed(number, type(error).__name__, str(error), "")
