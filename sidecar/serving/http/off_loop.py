"""Work on large bodies, kept off the event loop, so that other requests are answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from connectors.opensearch.flow.driving import drive_async
from connectors.opensearch.flow.search_flow import Flow, OpenSearchRequest

# Below this a body is read in a millisecond or two, and handing it over would cost as much.
SMALL = 16_384
Result = TypeVar("Result")

# One thread: several would only take the interpreter from the loop more often.
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bodies")


async def off_loop(size: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Do work on `size` bytes: in the thread, if they are many."""
    if size < SMALL:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work, *arguments)


async def drive(talk: Flow[Result], send: Callable[[OpenSearchRequest], Awaitable[bytes]], size: int) -> Result:
    """Hold the conversation about a body of `size` bytes to its end; its own work is done off the loop."""
    return await drive_async(talk, send, partial(off_loop, size))


def values_in(body: bytes) -> int:
    """About how many values JSON text holds; no fewer, whatever stands in its strings."""
    return body.count(b",") + body.count(b"{") + body.count(b"[")
