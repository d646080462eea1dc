"""One client's connection: limits that uvicorn lacks, for heads, expectations, upgrades and slow clients."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from sidecar.serving.http.asgi import Receive, Scope, Send
from sidecar.serving.http.errors import JSON, error_body
from sidecar.serving.http.headers import Headers
from sidecar.serving.http.http_parser import Http11Parser
from sidecar.serving.http.open_files import Warnings
from sidecar.serving.http.request_body import ClientLeft
from sidecar.serving.http.write_timeout import WriteTimeout

# OpenSearch's default limit is 8192 bytes, and it answers longer heads itself. Up to 256 kB more may have arrived in
# one piece with the beginning.
MAX_HEAD = 65_536
_ASCII = bytes(range(128))
_TOO_MANY = Warnings()
_TOO_SLOW = (408, "the request's head did not arrive in time")
_TOO_LONG = (431, f"the request's head is longer than {MAX_HEAD} bytes")


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The seconds a head may take, the bytes a second a client must accept, and the connections there may be.

    Connections beyond `connections` of a listener are closed.
    """

    seconds: float
    rate: int = 1000
    connections: int = 10_000


class HeadLimits(HttpToolsProtocol):
    """One connection; the next request's head must be complete within a time, counted from its first byte.

    For the first head, the time is counted from the start of the connection.
    """

    def __init__(self, *args: Any, limits: ClientLimits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        # How many bytes of a head have arrived; None between a head's end and the next one's beginning.
        self._head: int | None = 0
        # Data after a refusal are not read.
        self._refused = False
        self._writing: WriteTimeout | None = None
        self.parser = Http11Parser(self)  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            _TOO_MANY.warn(f"a connection was closed: {self._limits.connections} are open")
            transport.abort()
            return
        # The time-out counts from the first byte that has to wait.
        transport.set_write_buffer_limits(high=1, low=0)
        self._writing = WriteTimeout(transport, seconds=self._limits.seconds, rate=self._limits.rate)
        self._wait(self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after a connection."""
        self._stop()
        if self._writing is not None:
            self._writing.stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Let the application wait, but limit the client's time."""
        super().pause_writing()
        if self._writing is not None:
            self._writing.start()

    def resume_writing(self) -> None:
        """Continue writing."""
        if self._writing is not None:
            self._writing.stop()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse the data."""
        if self._refused:
            return
        before = self._head
        if not self._head and (self.cycle is None or not self.cycle.more_body):
            data = _with_a_valid_target(data)
        super().data_received(data)
        # A head that began anywhere within this piece is not longer than the piece.
        if self._head is not None and before is not None:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(*_TOO_LONG)

    def on_message_begin(self) -> None:
        """Start the limits of a head."""
        super().on_message_begin()
        self._head = self._head or 1
        if self._timer is None:
            self._wait(self._too_slow)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, without the white space around its value, which is not part of it."""
        super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Serve the request, or refuse its expectation."""
        if self.parser.should_upgrade():
            return
        self._stop()
        self._head = None
        if self.url == b"*":
            self.url = b"/*"  # OpenSearch reads it as the name of all indexes
        expected = _expected(self.headers) if self.parser.get_http_version() != "1.0" else None
        self.expect_100_continue = expected == b"100-continue"
        self.headers[:] = [header for header in self.headers if header[0] != b"expect"]
        application = self.app
        refuses = expected not in {None, b"100-continue"}
        self.app = _refuse_expectation if refuses else self._serve
        try:
            super().on_headers_complete()
        finally:
            self.app = application

    def on_message_complete(self) -> None:
        """Stop the timer of a body that was answered before it arrived."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        if self._timer is not None and self.cycle.response_complete:
            self._stop()

    def on_response_complete(self) -> None:
        """Give the rest of a body that was already answered no more time than a head."""
        if self.cycle.more_body and self._timer is None and not self.transport.is_closing():
            self._wait(self.transport.close)
        super().on_response_complete()

    def head_without_upgrade(self) -> bytes:
        """Return the head as bytes, without the offer to upgrade."""
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                value = b",".join(kept)  # noqa: PLW2901
            if name != b"upgrade" and (value or name != b"connection"):
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not HTTP/1.1."""
        self._refuse(400, msg)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; close the connection if it is uncertain whether the client sends the body."""
        cycle: RequestResponseCycle = send.__self__  # type: ignore[attr-defined]

        async def sent(message: Any) -> None:
            if cycle.disconnected:
                raise ClientLeft  # uvicorn would let the application continue without a client
            if cycle.waiting_for_100_continue:
                cycle.keep_alive = False
            await send(message)

        # Nobody waits for an answer, so there is nothing to report.
        with contextlib.suppress(ClientLeft):
            await self.config.loaded_app(scope, receive, sent)

    def _wait(self, then: Any) -> None:
        self._timer = self.loop.call_later(self._limits.seconds, then)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait(self._too_slow)  # the previous request of this connection is being answered
        elif self._head:
            self._refuse(*_TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer instead of the application, after its present answer, and close the connection."""
        self._stop()
        self._refused = True
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.transport.is_closing():
            return
        if answering and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not (answering and (self.pipeline or self.cycle.response_started)):
            self.transport.write(_answer(status, reason))
        self.transport.close()


def _with_a_valid_target(data: bytes) -> bytes:
    """Percent-encode bytes outside ASCII in a request's first line, which OpenSearch reads as Latin-1."""
    if data.isascii():
        return data
    line, end, rest = data.partition(b"\n")
    return quote(line.decode("latin-1"), safe=_ASCII).encode() + end + rest


def _expected(headers: Headers) -> bytes | None:
    """Return the values of the `Expect` headers as one; None if there is none."""
    found = [value for name, value in headers if name == b"expect"]
    return b",".join(found).lower() if found else None


async def _refuse_expectation(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 417 and close the connection, since the client may send either the body or another request next."""
    del scope, receive
    body = error_body(417, "the only supported expectation is 100-continue")
    headers = [*JSON, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 417, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(status: int, reason: str) -> bytes:
    """Return a complete answer that closes the connection."""
    body = error_body(status, reason)
    headers = b"".join(b"%s: %s\r\n" % header for header in JSON)
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return b"%s%sconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (line, headers, len(body), body)
