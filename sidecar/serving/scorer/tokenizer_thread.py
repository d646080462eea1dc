"""Tokenises in a thread of its own, so that the device never waits for it; what is read goes to the desk."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.core.candidates import Passage
from sidecar.scoring import Scorer
from sidecar.serving.scorer.protocol import Drop, Ping, ScoreJob, ToScorer

# Passages tokenised in one go: the jobs take turns, so that ten passages need not wait until a thousand are read.
SLICE = 64


@dataclass(frozen=True, slots=True)
class ArrivedJob:
    """A job, none of whose passages is read yet; `deadline` is by `time.monotonic`.

    `scorer` is the model at the time: what it has read, it scores, whatever is loaded in its place meanwhile.
    """

    job: ScoreJob
    deadline: float
    scorer: Scorer


@dataclass(frozen=True, slots=True)
class TokenizedSlice:
    """A reading of a job's next passages, or what went wrong in reading them."""

    number: int
    tokenized: Any
    lengths: list[int]
    error: Exception | None = None


Delivery = ArrivedJob | TokenizedSlice | Drop | Ping


class TokenizerThread:
    """Takes frames, and delivers them in their order to `inbox`, each job followed by its portions; None at the end.

    A ping goes this way too, so that it comes back from a process only of which both threads are alive.
    """

    def __init__(self, scorers: Mapping[str, Scorer]) -> None:
        self.inbox: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._scorers = scorers
        self._frames: queue.SimpleQueue[tuple[float, ToScorer] | None] = queue.SimpleQueue()
        self._unread: deque[tuple[ScoreJob, Scorer, int]] = deque()
        threading.Thread(target=self._work, name="reader", daemon=True).start()

    def put(self, frame: ToScorer | None) -> None:
        """Take a frame on, None where there will be no other."""
        self._frames.put(None if frame is None else (time.monotonic(), frame))

    def _work(self) -> None:
        while True:
            while not (self._frames.empty() and self._unread):
                arrival = self._frames.get()
                if arrival is None:
                    self.inbox.put(None)
                    return
                self._take(*arrival)
            self._read(*self._unread.popleft())

    def _take(self, now: float, frame: ToScorer) -> None:
        if isinstance(frame, ScoreJob):
            scorer = self._scorers[frame.model]
            self.inbox.put(ArrivedJob(frame, now + frame.seconds, scorer))
            self._unread.append((frame, scorer, 0))
        elif isinstance(frame, Drop):
            self._unread = deque(unread for unread in self._unread if unread[0].number != frame.number)
        if isinstance(frame, Drop | Ping):
            self.inbox.put(frame)

    def _read(self, job: ScoreJob, scorer: Scorer, start: int) -> None:
        passages = [Passage(*texts) for texts in job.passages[start : start + SLICE]]
        try:
            tokenized = scorer.read(job.query, passages)
            self.inbox.put(TokenizedSlice(job.number, tokenized, list(tokenized.lengths)))
        except Exception as error:  # noqa: BLE001  one job's failure is that job's
            self.inbox.put(TokenizedSlice(job.number, None, [], error))
            return
        if start + SLICE < len(job.passages):
            self._unread.append((job, scorer, start + SLICE))
