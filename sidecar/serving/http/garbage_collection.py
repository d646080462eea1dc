"""When Python looks for garbage in cycles: with a thousand windows in memory a whole look takes half a second."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

_SECONDS = 10.0
# So many looks in a row are left out while requests are under way.
_MOST_LEFT_OUT = 30


def look_rarely() -> None:
    """Never look again at what is there now, and at new objects only while they are young."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100_000)


async def collect_when_idle(idle: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Look at all objects every few seconds, if no request is under way, and at last if there always is one."""
    left_out = 0
    while True:
        await asyncio.sleep(seconds)
        if idle() or left_out >= _MOST_LEFT_OUT:
            gc.collect()
            left_out = 0
        else:
            left_out += 1
