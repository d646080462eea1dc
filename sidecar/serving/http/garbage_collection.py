"""Collect cyclic garbage at quiet moments: with a thousand windows in memory a full collection takes half a second."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

_SECONDS = 10.0
# The most collections in a row that are skipped while requests are in progress.
_MOST_LEFT_OUT = 30


def look_rarely() -> None:
    """Exclude all present objects from collection, and collect new objects only while they are young."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100_000)


async def collect_when_idle(idle: Callable[[], bool], seconds: float = _SECONDS) -> None:
    """Collect all garbage every few seconds if no request is in progress, or after many skipped collections."""
    left_out = 0
    while True:
        await asyncio.sleep(seconds)
        if idle() or left_out >= _MOST_LEFT_OUT:
            gc.collect()
            left_out = 0
        else:
            left_out += 1
