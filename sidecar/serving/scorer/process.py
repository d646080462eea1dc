"""The service's end of a scorer process: starts it, sends it jobs, detects when it hangs, and replaces it.

It is asynchronous and loads no torch: it knows models only by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError, ScorerUnavailable, ScoringError
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.scorer.admission import Admission
from sidecar.serving.scorer.pending import PendingJob
from sidecar.serving.scorer.pipe import ScorerPipe
from sidecar.serving.scorer.process_state import ProcessState
from sidecar.serving.scorer.protocol import (
    BatchReport,
    Drop,
    Failed,
    FromScorer,
    Load,
    LoadedModel,
    ModelsLoaded,
    Ping,
    Reload,
    Reloaded,
    ScoreJob,
)
from sidecar.serving.scorer.terms import Terms

COMMAND = (sys.executable, "-m", "sidecar.serving.scorer.worker")
# Seconds before a scorer that died is started again; doubled each time it dies before it could score.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
_log = logging.getLogger("sidecar.scorer")


class ScorerProcess:
    """A scorer in its own process, one process at a time.

    `models` are the specifications by name, `loaded` the models that the process answers with, `device` the name of
    where it computes, `environment` variables of the process. A scorer that gives no sign of life for `hang_seconds`
    is killed and replaced; meanwhile `ready` is False and `sent` raises. `load_seconds` is how long loading may take,
    `slice_seconds` how long one batch should take on the device.
    `scored_at` is when the last scores came, `heard_at` when the process last sent anything, by `time.monotonic`;
    `batch_seconds` is how long the device took for the last scores. `on_batch` is called with every batch, `on_pace`
    with a model, the estimated tokens of its batch and the seconds since the last one, and `on_change` when the process
    can score, can no longer, or has another model.
    """

    def __init__(  # noqa: PLR0913  independent settings, by keyword
        self,
        models: Mapping[str, ModelSpec],
        *,
        command: Sequence[str] = COMMAND,
        slice_seconds: float = 0.25,
        hang_seconds: float = 30.0,
        load_seconds: float = 600.0,
        merged_adapters: int = 2,
        device: str = "auto",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.models = dict(models)
        self.device = device
        self.loaded: dict[str, LoadedModel] = {}
        self.on_batch: Callable[[BatchReport], None] = lambda _: None
        self.on_pace: Callable[[str, int, float], None] = lambda *_: None
        self.on_change: Callable[[], None] = lambda: None
        self.restarts = 0
        self.waiting_passages = 0
        self._pipe = ScorerPipe(command, environment or {})
        self._slice_seconds = slice_seconds
        self.hang_seconds = hang_seconds
        self._load_seconds = load_seconds
        self._merged_adapters = merged_adapters
        self.scored_at = self.heard_at = self._busy_since = self.batch_seconds = 0.0
        self.queued_tokens = 0
        self.admission = Admission()
        self._numbers = itertools.count(1)
        self._pending: dict[int, PendingJob] = {}
        self._reloads: dict[int, asyncio.Future[None]] = {}
        self._ready = asyncio.Event()
        self._pinged_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._why_not = "the scorer is starting"

    @property
    def ready(self) -> bool:
        """True if a model answers now."""
        return self._ready.is_set()

    @property
    def why_not_ready(self) -> str:
        """Return the reason why the scorer does not answer."""
        return "" if self.ready else self._why_not

    def why_not(self, model: str) -> str:
        """Return the reason why a model is not scored now; empty if it is."""
        del model  # one process has all
        return self.why_not_ready

    @property
    def processes(self) -> list[ProcessState]:
        """Return the state of the process."""
        return [ProcessState(self.device, self.why_not_ready, self.restarts)]

    @property
    def pid(self) -> int | None:
        """Return the scorer's process id, None while there is no process."""
        return self._pipe.pid

    def identity(self, model: str) -> str | None:
        """Return what distinguishes a model from others of its name; None while it is not loaded."""
        loaded = self.loaded.get(model)
        return None if loaded is None else loaded.identity

    async def start(self) -> None:
        """Start the scorer and wait until a model has answered. Raises `ModelError` if none can be loaded."""
        await self._spawn()
        await self._greeting()
        self._tasks = {asyncio.create_task(self._live()), asyncio.create_task(self._watch())}

    async def stop(self) -> None:
        """End the scorer; requests that still wait raise `ScorerUnavailable`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end("the service is shutting down")

    @contextlib.contextmanager
    def sent(
        self, model: str, query: str, passages: Sequence[Passage], tokens: list[int], terms: Terms
    ) -> Iterator[PendingJob]:
        """Send a job, whatever waits already, and drop at the end of the block what is not scored.

        `tokens` estimates those of each passage. Raises `ScorerUnavailable` if there is no scorer.
        """
        if not self.ready:
            raise ScorerUnavailable(self._why_not)
        if not self.waiting_passages:
            self._busy_since = time.monotonic()
        number, texts = next(self._numbers), [(passage.title, passage.text) for passage in passages]
        pending = PendingJob(model, terms.caller, tokens, [None] * len(passages), missing=len(passages))
        self._count(pending, len(tokens), sum(tokens))
        self._pending[number] = pending
        try:
            self._pipe.send(
                ScoreJob(number, model, query, texts, terms.seconds, terms.caller, terms.priority, terms.how)
            )
            yield pending
        finally:
            del self._pending[number]
            rest = [count for count, score in zip(tokens, pending.scores, strict=True) if score is None]
            self._count(pending, -len(rest), -sum(rest))
            if pending.missing and self.ready:
                self._pipe.send(Drop(number))

    async def reload(self, model: str) -> None:
        """Read a model's files again, while the previous model continues to score.

        Raises `ModelError` if they can't be read, and then the previous model stays; `ScorerUnavailable` if there is no
        scorer, or it ended, or loading takes too long.
        """
        if not self.ready:
            raise ScorerUnavailable(self._why_not)
        number = next(self._numbers)
        self._reloads[number] = done = asyncio.get_running_loop().create_future()
        self._pipe.send(Reload(number, model))
        try:
            async with asyncio.timeout(self._load_seconds):
                await done
        except TimeoutError:
            raise ScorerUnavailable(f"reloading {model!r} took longer than {self._load_seconds:g} s") from None
        finally:
            del self._reloads[number]

    def _count(self, pending: PendingJob, passages: int, tokens: int) -> None:
        self.waiting_passages += passages
        self.admission.add(pending.model, pending.caller, tokens)

    async def _spawn(self) -> None:
        self._pinged_at = None  # the new process was not asked for a sign of life
        await self._pipe.open()
        self._pipe.send(Load(self.models, self._slice_seconds, self._merged_adapters))

    async def _greeting(self) -> None:
        frame = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._load_seconds):
                frame = await self._pipe.receive()
        if isinstance(frame, ModelsLoaded):
            self.loaded = dict(frame.models)
            self.heard_at = time.monotonic()
            self._ready.set()
            self.on_change()
            return
        await self._end("the scorer did not start")
        if isinstance(frame, Failed):
            raise ModelError(frame.message, remedy=frame.remedy)
        raise ModelError("the scorer process ended before it could score.", remedy="Its last messages are above.")

    async def _live(self) -> None:
        """Deliver scores as they arrive; if the process ends, start another."""
        pause = FIRST_PAUSE
        while True:
            while (frame := await self._pipe.receive()) is not None:
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
        self.heard_at = time.monotonic()
        if isinstance(frame, Ping):
            self._pinged_at = None
        elif isinstance(frame, BatchReport):
            self._take_batch(frame)
        elif isinstance(frame, Failed) and (pending := self._pending.get(frame.number)) is not None:
            pending.failure = ScoringError(frame.message, remedy=frame.remedy)
            pending.done.set()
        elif isinstance(frame, Failed) and (done := self._reloads.get(frame.number)) is not None:
            done.set_exception(ModelError(frame.message, remedy=frame.remedy))
        elif isinstance(frame, Reloaded):
            self.loaded[frame.name] = frame.model
            self.on_change()
            if (done := self._reloads.get(frame.number)) is not None:
                done.set_result(None)

    def _take_batch(self, batch: BatchReport) -> None:
        now, since = time.monotonic(), max(self.scored_at, self._busy_since)
        self.scored_at, self.batch_seconds, self.queued_tokens = now, batch.seconds, batch.queued
        guessed = 0
        for part in batch.slices:
            if (pending := self._pending.get(part.number)) is not None:
                positions = slice(part.start, part.start + len(part.scores))
                tokens = sum(pending.tokens[positions])
                pending.scores[positions] = part.scores
                pending.missing -= len(part.scores)
                pending.times.add_batch(batch.seconds, part.tokenised)
                self._count(pending, -len(part.scores), -tokens)
                guessed += tokens
                if not pending.missing:
                    pending.done.set()
        self.admission.measured(batch.model, guessed, now - since)
        self.on_pace(batch.model, guessed, now - since)
        self.on_batch(batch)

    async def _watch(self) -> None:
        """Kill a scorer that gives no sign of life; it answers a ping between two batches."""
        while True:
            await asyncio.sleep(min(1.0, self.hang_seconds / 4))
            if not self.ready:
                self._pinged_at = None
            elif self._pinged_at is None:
                self._pinged_at = time.monotonic()
                self._pipe.send(Ping())
            elif time.monotonic() - self._pinged_at > self.hang_seconds:
                _log.error("the scorer gave no sign of life for %.1f s; killing it", self.hang_seconds)
                self.replace("the scorer hung and is being replaced")

    def replace(self, why: str) -> None:
        """Kill the process, so that another is started."""
        self._ready.clear()
        self._why_not = why
        self._pipe.kill()

    async def _end(self, why: str) -> None:
        """End the process, and fail all requests that wait for it."""
        self.replace(why)
        self.on_change()
        await self._pipe.close()
        for pending in self._pending.values():
            pending.failure = ScorerUnavailable(why)
            pending.done.set()
        for done in self._reloads.values():
            if not done.done():
                done.set_exception(ScorerUnavailable(why))
