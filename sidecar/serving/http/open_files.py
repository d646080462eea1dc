"""Limit the files that clients may open, so that some remain for OpenSearch; and log rarely if there are none left."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger("sidecar.service")
# For logs, models, the scorer's pipes and files that libraries open.
_OWN = 128
# The limit if the hard limit is higher or unlimited.
_ENOUGH = 65_536
_SECONDS_BETWEEN_WARNINGS = 10.0
_ACCEPT_FAILED = "socket.accept() out of system resource"


def client_connections(upstream: int) -> int:
    """Raise the limit of open files as far as allowed, and return how many connections a listener for clients may have.

    Two listeners share the files that `upstream` connections and the process itself leave.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    most = _ENOUGH if soft == resource.RLIM_INFINITY else soft
    return max(16, (most - upstream - _OWN) // 2)


class Warnings:
    """Logs a warning, and the next one only after some seconds, with the number of those omitted."""

    def __init__(self, seconds: float = _SECONDS_BETWEEN_WARNINGS) -> None:
        self._seconds = seconds
        self._last = float("-inf")
        self._left_out = 0

    def warn(self, words: str) -> None:
        """Log the warning if enough time has passed."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            self._left_out += 1
            return
        _log.warning("%s (%d times more since the last such line)", words, self._left_out)
        self._last, self._left_out = now, 0


def quiet_accept_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log rarely that no connection can be accepted; asyncio logs it thousands of times a second, with a traceback."""
    warnings = Warnings()

    def handle(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        if context.get("message") == _ACCEPT_FAILED:
            warnings.warn(f"no connection can be accepted: {context.get('exception')}")
        else:
            loop.default_exception_handler(dict(context))

    loop.set_exception_handler(handle)
