"""End a process together with its parent, however the parent ends."""

from __future__ import annotations

import ctypes
import signal
import sys

# From <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent is gone, even while it is stopped and reads nothing.

    The parent is the thread that started it. Only Linux supports this; elsewhere a running process ends with its pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
