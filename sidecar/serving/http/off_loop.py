"""Work on large bodies, kept off the event loop, so that other requests are answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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


def values_in(body: bytes) -> int:
    """About how many values JSON text holds; no fewer, whatever stands in its strings."""
    return body.count(b",") + body.count(b"{") + body.count(b"[")
