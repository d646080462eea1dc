"""The scorer's own process: models in here, frames in and out. The only part of the service that loads torch.

It can be killed at any time; the service starts another. `python -m sidecar.serving.scorer_process` runs it over stdin
and stdout; whatever a library prints goes to stderr.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import BinaryIO

from sidecar.candidates import Passage
from sidecar.errors import SidecarError
from sidecar.scoring import Scorer
from sidecar.serving.frames import (
    Drop,
    Failed,
    FromScorer,
    Job,
    Load,
    Loaded,
    Ping,
    Slice,
    packed,
    read_body,
    to_scorer,
)
from sidecar.serving.slices import SliceQueue, Waiting

Build = Callable[[Load], Mapping[str, Scorer]]


def serve(build: Build, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Load the models, then score slices until the service closes the pipe."""

    def send(frame: FromScorer) -> None:
        outgoing.write(packed(frame))
        outgoing.flush()

    first = read_body(incoming)
    load = to_scorer(first) if first is not None else None
    if not isinstance(load, Load):
        return
    try:
        scorers = build(load)
        for scorer in scorers.values():
            scorer.score("ready?", [Passage("", "ready")])
    except Exception as error:  # noqa: BLE001  whatever it is, the service has to say it
        send(_failure(0, error))
        return
    send(Loaded({name: scorer.mapping for name, scorer in scorers.items()}))
    inbox: queue.SimpleQueue[Job | Drop | Ping | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(incoming, inbox), daemon=True).start()
    _Desk(scorers, send, SliceQueue(load.slice_size)).work(inbox)


class _Desk:
    """The jobs at hand, and the loop that scores one slice after the other."""

    def __init__(self, scorers: Mapping[str, Scorer], send: Callable[[FromScorer], None], waiting: SliceQueue) -> None:
        self.scorers = scorers
        self.send = send
        self.waiting = waiting
        self.jobs: dict[int, Job] = {}

    def work(self, inbox: queue.SimpleQueue[Job | Drop | Ping | None]) -> None:
        while True:
            # Everything that has arrived is looked at before the next slice: a new deadline may be the earliest.
            while not (inbox.empty() and self.waiting.jobs):
                frame = inbox.get()
                if frame is None:
                    return
                self._take(frame)
            due = self.waiting.next(time.monotonic())
            for number in self.jobs.keys() - self.waiting.jobs.keys() - ({due[0]} if due else set()):
                del self.jobs[number]
            if due is not None:
                self._score(*due)

    def _take(self, frame: Job | Drop | Ping) -> None:
        if isinstance(frame, Ping):
            self.send(frame)
        elif isinstance(frame, Drop):
            self.waiting.drop(frame.number)
        else:
            self.jobs[frame.number] = frame
            self.waiting.add(Waiting(frame.number, len(frame.passages), time.monotonic() + frame.seconds))

    def _score(self, number: int, positions: range) -> None:
        job = self.jobs[number]
        passages = [Passage(*job.passages[position]) for position in positions]
        try:
            scores = self.scorers[job.model].score(job.query, passages)
            self.send(Slice(number, positions.start, scores))
        except Exception as error:  # noqa: BLE001  one job's failure is that job's
            self.waiting.drop(number)
            self.send(_failure(number, error))


def _read(incoming: BinaryIO, inbox: queue.SimpleQueue[Job | Drop | Ping | None]) -> None:
    while (body := read_body(incoming)) is not None:
        frame = to_scorer(body)
        if not isinstance(frame, Load):
            inbox.put(frame)
    inbox.put(None)


def _failure(number: int, error: Exception) -> Failed:
    if isinstance(error, SidecarError):
        return Failed(number, type(error).__name__, error.message, error.remedy)
    return Failed(number, type(error).__name__, str(error), "")


def load_models(load: Load) -> dict[str, Scorer]:
    """Load every declared model. Raises what `load_scorer` raises."""
    from sidecar.scoring.chunks import Chunking
    from sidecar.scoring.loading import load_scorer

    scorers = {}
    for name, options in load.models.items():
        chunking = options.get("chunking")
        scorers[name] = load_scorer(**options | {"chunking": chunking and Chunking(*chunking)})
    return scorers


def run(build: Build = load_models) -> None:
    """Serve over stdin and stdout until the service closes the pipe."""
    # Ctrl-C reaches the whole group; when to end is the service's to say, after its last answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(build, sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    run()
