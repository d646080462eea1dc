"""A limit to how slowly a client may take an answer."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Any

# Closed with this, a connection is reset and what the kernel still has to send is dropped.
_NO_LINGER = struct.pack("ii", 1, 0)


class WriteTimeout:
    """Aborts a connection whose client takes fewer than `rate` bytes a second of what waits to be sent.

    It looks every `seconds`, from when something has to wait in the transport's buffer until nothing does any more.
    """

    def __init__(self, transport: asyncio.Transport, *, seconds: float, rate: int) -> None:
        self._transport = transport
        self._seconds = seconds
        self._least = max(1, int(seconds * rate))
        self._timer: asyncio.TimerHandle | None = None
        found = transport.get_extra_info("socket")
        self._socket = found if found is not None and found.family in {socket.AF_INET, socket.AF_INET6} else None

    def start(self) -> None:
        """Begin to watch: something has to wait."""
        if self._timer is None:
            self._watch(self._unsent())

    def stop(self) -> None:
        """Watch no longer: nothing waits, or the connection is lost."""
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
        """Bytes that the client's side has not taken: the transport's and, where it can be asked, the kernel's.

        The kernel takes more only when a third of its buffer, often a megabyte, is free again.
        """
        return self._transport.get_write_buffer_size() + (_queued(self._socket) if self._socket is not None else 0)


def _queued(connection: Any) -> int:
    try:
        return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0  # closed, or a system without it
