"""The service's end of the scorer process: starts it, asks it, notices when it hangs, and replaces it.

Asynchronous, and free of torch: what is known of a model here is its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.candidates import Passage, Score
from sidecar.errors import ModelError, ScorerBusy, ScorerUnavailable, ScoringError
from sidecar.scoring.mapping import Mapping as ScoreMapping
from sidecar.serving.frames import (
    HEADER_SIZE,
    Drop,
    Failed,
    FromScorer,
    Job,
    Load,
    Loaded,
    Ping,
    Slice,
    ToScorer,
    from_scorer,
    length_of,
    packed,
)

COMMAND = (sys.executable, "-m", "sidecar.serving.scorer_process")
# Seconds before a scorer that died is started again; doubled each time it dies before it could score.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# How much a new measurement of the pace counts against the ones before.
FRESH = 0.2
_log = logging.getLogger("sidecar.scorer")


@dataclass(slots=True)
class _Pending:
    scores: list[Score | None]
    done: asyncio.Event = field(default_factory=asyncio.Event)
    missing: int = 0
    failure: Exception | None = None


class ScorerProcess:
    """A scorer in a process of its own, one at a time.

    `models` is what each name stands for, as keyword arguments of `load_scorer`. A scorer that gives no sign of
    life for `hang_seconds` is killed and replaced; meanwhile `ready` is False and `score` raises.
    `load_seconds` is how long loading may take, `most_waiting` how many passages may wait at once. `scored_at` is when
    the last scores came, by `time.monotonic`.
    """

    def __init__(  # noqa: PLR0913  each is a setting of its own, by keyword
        self,
        models: Mapping[str, Mapping[str, Any]],
        *,
        command: Sequence[str] = COMMAND,
        slice_size: int = 16,
        hang_seconds: float = 30.0,
        load_seconds: float = 600.0,
        most_waiting: int = 20_000,
    ) -> None:
        self.models = {name: dict(options) for name, options in models.items()}
        self.mappings: dict[str, ScoreMapping] = {}
        self.restarts = 0
        self.waiting_passages = 0
        self._command = tuple(command)
        self._slice_size = slice_size
        self._hang_seconds = hang_seconds
        self._load_seconds = load_seconds
        self._most_waiting = most_waiting
        self.scored_at = self._busy_since = 0.0
        self._pace: float | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._pinged_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._why_not = "the scorer is starting"

    @property
    def ready(self) -> bool:
        """Whether a model answers now."""
        return self._ready.is_set()

    @property
    def why_not_ready(self) -> str:
        """What keeps the scorer from answering."""
        return "" if self.ready else self._why_not

    @property
    def pid(self) -> int | None:
        """The scorer's process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start the scorer and wait until a model has answered. Raises `ModelError` if none can be loaded."""
        await self._spawn()
        await self._greeting()
        self._tasks = {asyncio.create_task(self._live()), asyncio.create_task(self._watch())}

    async def stop(self) -> None:
        """End the scorer; whoever still waits gets `ScorerUnavailable`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end("the service is shutting down")

    async def score(self, model: str, query: str, passages: Sequence[Passage], *, seconds: float) -> list[Score | None]:
        """Score passages, in the order given; None for those that were not scored within `seconds`.

        Raises `ScorerUnavailable` where there is no scorer, or it ended, or too much waits already; `ScoringError`
        where the model failed.
        """
        if not passages:
            return []
        if not self.ready:
            raise ScorerUnavailable(self._why_not)
        if self.waiting_passages + len(passages) > self._most_waiting:
            raise ScorerBusy(f"{self.waiting_passages} passages wait to be scored already")
        # Whoever can't be served in time would only take it from those who can: of twice what can be scored, earliest
        # deadline first finishes next to nothing.
        if self.waiting_passages and self._pace is not None and self.waiting_passages * self._pace > seconds:
            told = f"{self.waiting_passages} passages wait to be scored already"
            raise ScorerBusy(f"{told}, {self.waiting_passages * self._pace:.1f} s of work")
        if not self.waiting_passages:
            self._busy_since = time.monotonic()
        number = next(self._numbers)
        pending = self._pending[number] = _Pending([None] * len(passages), missing=len(passages))
        self.waiting_passages += len(passages)
        try:
            self._send(Job(number, model, query, [(p.title, p.text) for p in passages], seconds))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await pending.done.wait()
        finally:
            del self._pending[number]
            self.waiting_passages -= pending.missing
            if pending.missing and self.ready:
                self._send(Drop(number))
        if pending.failure is not None:
            raise pending.failure
        return pending.scores

    def _send(self, frame: ToScorer) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(packed(frame))

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._send(Load(self.models, self._slice_size))

    async def _greeting(self) -> None:
        frame = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._load_seconds):
                frame = await self._receive()
        if isinstance(frame, Loaded):
            self.mappings = frame.mappings
            self._ready.set()
            return
        await self._end("the scorer did not start")
        if isinstance(frame, Failed):
            raise ModelError(frame.message, remedy=frame.remedy)
        raise ModelError("the scorer process ended before it could score.", remedy="Its last words are above.")

    async def _receive(self) -> FromScorer | None:
        """Read one frame; None when the process is gone."""
        if self._process is None or self._process.stdout is None:
            return None
        try:
            header = await self._process.stdout.readexactly(HEADER_SIZE)
            return from_scorer(await self._process.stdout.readexactly(length_of(header)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def _live(self) -> None:
        """Hand out scores as they come; when the process is gone, start another."""
        pause = FIRST_PAUSE
        while True:
            while (frame := await self._receive()) is not None:
                self._take(frame)
                pause = FIRST_PAUSE
            await self._end("the scorer process ended")
            _log.warning("the scorer process ended; starting another")
            self.restarts += 1
            while not self.ready:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                try:
                    await self._spawn()
                    await self._greeting()
                except (ModelError, OSError) as error:
                    self._why_not = f"the scorer can't start: {error}"
                    _log.error("%s", self._why_not)

    def _take(self, frame: FromScorer) -> None:
        if isinstance(frame, Ping):
            self._pinged_at = None
        if isinstance(frame, Slice):
            self._keep_pace(len(frame.scores))
        pending = self._pending.get(frame.number) if isinstance(frame, Slice | Failed) else None
        if pending is None:
            return
        if isinstance(frame, Slice):
            pending.scores[frame.start : frame.start + len(frame.scores)] = frame.scores
            pending.missing -= len(frame.scores)
            self.waiting_passages -= len(frame.scores)
        elif isinstance(frame, Failed):
            pending.failure = ScoringError(frame.message, remedy=frame.remedy)
        if pending.failure is not None or not pending.missing:
            pending.done.set()

    def _keep_pace(self, passages: int) -> None:
        """Learn how many seconds a passage takes, from slices that followed one another without a rest."""
        now = time.monotonic()
        since = max(self.scored_at, self._busy_since)
        self.scored_at = now
        if passages and since:
            measured = (now - since) / passages
            self._pace = measured if self._pace is None else self._pace + FRESH * (measured - self._pace)

    async def _watch(self) -> None:
        """Kill a scorer that gives no sign of life; it answers between two slices."""
        while True:
            await asyncio.sleep(min(1.0, self._hang_seconds / 4))
            if not self.ready:
                self._pinged_at = None
            elif self._pinged_at is None:
                self._pinged_at = time.monotonic()
                self._send(Ping())
            elif time.monotonic() - self._pinged_at > self._hang_seconds:
                _log.error("the scorer gave no sign of life for %.1f s; killing it", self._hang_seconds)
                self._kill("the scorer hung and is being replaced")

    def _kill(self, why: str) -> None:
        self._ready.clear()
        self._why_not = why
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _end(self, why: str) -> None:
        """Make sure the process is gone, and let nobody wait for it."""
        self._kill(why)
        if self._process is not None:
            await self._process.wait()
            self._process = None
        for pending in self._pending.values():
            pending.failure = ScorerUnavailable(why)
            pending.done.set()
