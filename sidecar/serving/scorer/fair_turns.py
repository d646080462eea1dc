"""The queue in front of a remote server: callers take turns, as they do for a device of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sidecar.core.trace import Stage
from sidecar.scoring.remote.turns import Request
from sidecar.serving.scorer.scheduler import Scheduler, Waiting


class FairTurns:
    """Sends `places` requests at once, in the scheduler's order.

    A caller may be ahead of another by what a request does in a few `slice_seconds`. `measured` is called with the
    tokens of each request and its seconds, unless it failed.
    """

    def __init__(
        self, places: int, measured: Callable[[int, float], None] = lambda *_: None, *, slice_seconds: float = 0.25
    ) -> None:
        self._free = places
        self._measured = measured
        self._queue = Scheduler(slice_seconds)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._numbers = 0

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Wait for a turn, which ends with the block."""
        await self._wait(request)
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            yield
            seconds = loop.time() - started
            self._queue.measured("", request.tokens, seconds)
            self._measured(request.tokens, seconds)
        finally:
            self._leave()

    async def _wait(self, request: Request) -> None:
        if self._free:
            self._free -= 1
            return
        self._numbers += 1
        number = self._numbers
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        job = Waiting(number, request.caller, "", 1, request.deadline, request.priority, beside=request.beside)
        self._queue.add(job)
        self._queue.read(number, [request.tokens])
        try:
            with Stage("queue"):
                await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._leave()  # it had got its turn already
            raise
        finally:
            self._queue.drop(number)
            del self._waiting[number]

    def _leave(self) -> None:
        """Give a place to the request whose turn it is."""
        while (following := self._queue.first(asyncio.get_running_loop().time())) is not None:
            # One that was cancelled in this turn of the event loop has not left the queue yet.
            if not (future := self._waiting[following.number]).done():
                future.set_result(None)
                return
        self._free += 1
