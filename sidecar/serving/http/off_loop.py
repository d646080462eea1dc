"""Process large bodies off the event loop, so that other requests are answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# A smaller body is read in a millisecond or two, and moving it to the thread would cost as much.
SMALL = 16_384
Result = TypeVar("Result")

# One thread: several would only take the interpreter from the event loop more often.
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bodies")


async def off_loop(size: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Process `size` bytes: in the thread if they are many, else at once."""
    if size < SMALL:
        return work(*arguments)
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work, *arguments)


def values_in(body: bytes) -> int:
    """Return about how many values JSON text holds; never too few, since characters in strings are counted, too."""
    return body.count(b",") + body.count(b"{") + body.count(b"[")
