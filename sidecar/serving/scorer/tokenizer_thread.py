"""Tokenise in a separate thread, so that the device never waits for it; the device loop gets the results."""

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
from sidecar.scoring.reading import read_with
from sidecar.serving.scorer.protocol import Drop, Ping, ScoreJob, ToScorer

# Passages tokenised at once: jobs take turns, so that ten passages need not wait for a thousand.
SLICE = 64


@dataclass(frozen=True, slots=True)
class ArrivedJob:
    """A job without tokenised passages yet; `deadline` is by `time.monotonic`.

    `scorer` is the model at its arrival: it tokenises and scores the whole job, even if another is loaded meanwhile.
    """

    job: ScoreJob
    deadline: float
    scorer: Scorer


@dataclass(frozen=True, slots=True)
class TokenizedSlice:
    """The tokenised next passages of a job, or the error in tokenising them.

    Tokenising them began at `begun` and ended at `ended`, by `time.monotonic`.
    """

    number: int
    tokenized: Any
    lengths: list[int]
    error: Exception | None = None
    begun: float = 0.0
    ended: float = 0.0


Delivery = ArrivedJob | TokenizedSlice | Drop | Ping


class TokenizerThread:
    """Takes frames, and delivers them to `inbox` in order, each job followed by its tokenised slices; None at the end.

    A ping passes through here, too, so it is answered only if both threads of the process are alive.
    """

    def __init__(self, scorers: Mapping[str, Scorer]) -> None:
        self.inbox: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._scorers = scorers
        self._frames: queue.SimpleQueue[tuple[float, ToScorer] | None] = queue.SimpleQueue()
        self._unread: deque[tuple[ScoreJob, Scorer, int]] = deque()
        threading.Thread(target=self._work, name="reader", daemon=True).start()

    def put(self, frame: ToScorer | None) -> None:
        """Take a frame; None means that no more follow."""
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
        begun = time.monotonic()
        try:
            tokenized = read_with(scorer, job.query, passages, job.how)
            lengths = list(tokenized.lengths)
            self.inbox.put(TokenizedSlice(job.number, tokenized, lengths, begun=begun, ended=time.monotonic()))
        except Exception as error:  # noqa: BLE001  an error of one job must not end the thread
            self.inbox.put(TokenizedSlice(job.number, None, [], error))
            return
        if start + SLICE < len(job.passages):
            self._unread.append((job, scorer, start + SLICE))
