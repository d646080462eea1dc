"""A process that ends with the one that started it, however that one ends."""

from __future__ import annotations

import ctypes
import signal
import sys

# From <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone, even while it is stopped and reads nothing.

    The parent is the thread that started it. Linux alone can do this; elsewhere the end of the pipe ends a process that
    runs.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
