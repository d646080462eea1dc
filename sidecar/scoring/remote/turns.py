"""Who may send a server the next request, of which only so many are sent at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """A request of `tokens` for a caller, useless after `deadline` by the clock of the event loop.

    `beside` are the tokens of the same query that other requests hold. A lower `priority` number goes first.
    """

    caller: str
    tokens: int
    beside: int
    deadline: float
    priority: int = 0


class Turns(Protocol):
    """Lets requests to one server wait for their turn."""

    def turn(self, request: Request) -> AbstractAsyncContextManager[None]:
        """Wait for a turn, which ends with the block."""
        ...


class InOrder:
    """Sends `places` requests at once, first come, first served."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Wait for a place."""
        del request
        async with self._places:
            yield
