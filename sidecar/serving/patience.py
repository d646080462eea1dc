"""How long a request's head may take to arrive, and how long it may be: what uvicorn itself leaves open."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# OpenSearch's own `http.max_header_size` is 16 kB; what lies between is its to refuse. Up to 256 kB more may have come
# in one piece with the beginning.
MAX_HEAD = 65_536
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Patience(HttpToolsProtocol):
    """One connection; its next request's head has to be whole within `seconds`, counted from its first byte.

    The first head's are counted from the connection's beginning.
    """

    def __init__(self, *args: Any, seconds: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        # How much of a head has come; None between a head's end and the next one's beginning.
        self._head: int | None = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection on."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let a connection go."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        before = self._head
        super().data_received(data)
        # A head that began within this piece is not longer than it, wherever in it that was.
        if self._head is not None and before is not None:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(_TOO_LONG)

    def on_message_begin(self) -> None:
        """Await a head."""
        super().on_message_begin()
        self._head = self._head or 1
        if self._timer is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Have a head."""
        self._stop()
        self._head = None
        super().on_headers_complete()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self._seconds, self._too_slow)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait()  # an answer to the request before is under way on this connection
        else:
            self._refuse(_TOO_SLOW if self._head else b"")

    def _refuse(self, answer: bytes) -> None:
        self._stop()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
