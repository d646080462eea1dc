"""A limit for clients that accept an answer slowly."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Any

# With this option, closing resets the connection and drops the data that the kernel still has to send.
_NO_LINGER = struct.pack("ii", 1, 0)


class WriteTimeout:
    """Aborts a connection whose client accepts fewer than `rate` bytes a second of the data waiting for it.

    It checks every `seconds` while data wait in the transport's buffer.
    """

    def __init__(self, transport: asyncio.Transport, *, seconds: float, rate: int) -> None:
        self._transport = transport
        self._seconds = seconds
        self._least = max(1, int(seconds * rate))
        self._timer: asyncio.TimerHandle | None = None
        found = transport.get_extra_info("socket")
        self._socket = found if found is not None and found.family in {socket.AF_INET, socket.AF_INET6} else None

    def start(self) -> None:
        """Start checking: data have to wait."""
        if self._timer is None:
            self._watch(self._unsent())

    def stop(self) -> None:
        """Stop checking: no data wait, or the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, before: int) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look, before)

    def _look(self, before: int) -> None:
        unsent = self._unsent()
        if before - unsent < min(self._least, before):
            if self._socket is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()
        else:
            self._watch(unsent)

    def _unsent(self) -> int:
        """Return the bytes that the client has not accepted: the transport's and, if known, the kernel's.

        The kernel accepts more only when a third of its buffer, often a megabyte, is free again.
        """
        return self._transport.get_write_buffer_size() + (_queued(self._socket) if self._socket is not None else 0)


def _queued(connection: Any) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0  # closed, or not supported by the system
