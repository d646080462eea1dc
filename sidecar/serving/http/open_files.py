"""How many files clients may have open, so that there are some for OpenSearch; and few words where there are none."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger("sidecar.service")
# For logs, models, the scorer's pipes and what libraries open.
_OWN = 128
# Where the hard limit is higher or none.
_ENOUGH = 65_536
_SECONDS_BETWEEN_WARNINGS = 10.0
_ACCEPT_FAILED = "socket.accept() out of system resource"


def client_connections(upstream: int) -> int:
    """Raise the limit of open files as far as is allowed, and return how many a client-facing listener may take.

    Two listeners share what `upstream` connections and the process itself leave.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    most = _ENOUGH if soft == resource.RLIM_INFINITY else soft
    return max(16, (most - upstream - _OWN) // 2)


class Warnings:
    """Logs a warning, and the same one again only after some seconds, with how often it was left out."""

    def __init__(self, seconds: float = _SECONDS_BETWEEN_WARNINGS) -> None:
        self._seconds = seconds
        self._last = float("-inf")
        self._left_out = 0

    def warn(self, words: str) -> None:
        """Log, if it is time."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            self._left_out += 1
            return
        _log.warning("%s (%d times more since the last such line)", words, self._left_out)
        self._last, self._left_out = now, 0


def quiet_accept_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log seldom that no connection can be accepted; asyncio logs it thousands of times a second, with a traceback."""
    warnings = Warnings()

    def handle(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        if context.get("message") == _ACCEPT_FAILED:
            warnings.warn(f"no connection can be accepted: {context.get('exception')}")
        else:
            loop.default_exception_handler(dict(context))

    loop.set_exception_handler(handle)
