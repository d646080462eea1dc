"""Wait for what another thread or process does."""

from __future__ import annotations

import time


def until(holds, seconds=10.0):
    """Ask every 10 ms until `holds()` is true; returns what it gave. Fails after the seconds."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
    return found
