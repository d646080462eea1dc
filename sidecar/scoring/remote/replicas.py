"""The replicas of a remote model: which of them is asked, and when again after a failure.

A server that fails is left alone for a while by its circuit breaker; the others take its requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sidecar.core.errors import ScorerUnavailable, SidecarError
from sidecar.scoring.remote.transport import Again, Server

Result = TypeVar("Result")

# Seconds between two attempts if the server names none; doubled each time, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0


class Replicas:
    """Servers of one model, any of which may answer a request."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers

    async def ask(
        self,
        deadline: float,
        ask: Callable[[Server, float], Awaitable[Result]],
        failed_with: Callable[[SidecarError], None] = lambda _: None,
    ) -> Result:
        """Ask one server after the other until one answers; `ask` gets a server and the seconds of this attempt.

        `deadline` is by the clock of the event loop; `failed_with` is called with each failure. Raises the last failure
        if there is no time for another attempt, and whatever `ask` raises beside `Again`.
        """
        loop, pause, failed = asyncio.get_running_loop(), FIRST_PAUSE, set[str]()
        while True:
            server = self._choose(failed)
            if server is None:
                raise ScorerUnavailable("no server of the remote scorer answers")
            others = len(self._servers) - len(failed) - 1
            # An attempt ends before the deadline, so that a server that hangs counts as one that failed.
            seconds = (deadline - loop.time()) * (0.5 if others else 0.95)
            try:
                return await _counted(server, ask(server, seconds))
            except Again as attempt:
                failed.add(server.url)
                failed_with(attempt.error)
                if len(failed) < len(self._servers):
                    continue
                failed.clear()
                wait = pause * random.uniform(0.5, 1.5) if attempt.after is None else attempt.after  # noqa: S311
                if loop.time() + wait >= deadline:
                    raise attempt.error from None
                await asyncio.sleep(wait)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _choose(self, failed: set[str]) -> Server | None:
        """Return the least busy server that did not fail for this request; one left alone only if there is no other."""
        now = asyncio.get_running_loop().time()
        waiting = [server for server in self._servers if server.url not in failed]
        allowed = [server for server in waiting if server.breaker.allows(now)]
        return min(allowed or waiting, key=lambda server: (server.in_flight, server.tried), default=None)


async def _counted(server: Server, work: Awaitable[Result]) -> Result:
    """Count a request of a server while it waits for its answer."""
    server.tried += 1
    server.in_flight += 1
    try:
        return await work
    finally:
        server.in_flight -= 1
