"""Connections to OpenSearch that are reused only when clean, and that send bytes outside ASCII unchanged."""

from __future__ import annotations

from typing import Any, cast

import aiohttp

# After these answers the request was read to its end. After any other one it may not have been: OpenSearch answers 400,
# 413 and 417 to a head that it refuses, and then takes the body for another request, or answers nothing more.
_READ_TO_ITS_END = frozenset({*range(200, 300), 304, 404, 409})


class Answer(aiohttp.ClientResponse):
    """An answer whose connection is used again only if nothing is left on it, of the request or of the answer.

    The request was then sent to its end before the answer began, the status shows that OpenSearch read it to its end,
    and the answer was read to its end. All other connections are closed.
    """

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Await the answer's head. Raises `aiohttp.ServerDisconnectedError` if an answer was there before."""
        if connection.protocol is None or connection.protocol.should_close:
            # Bytes that came before the request are no answer to it.
            raise aiohttp.ServerDisconnectedError
        lease = _Lease(connection)
        await super().start(cast("Any", lease))
        sent = self._sent_to_its_end(connection)
        lease.judge(clean=sent and self.status in _READ_TO_ITS_END)
        return self

    def _sent_to_its_end(self, connection: Any) -> bool:
        writer = self._writer
        transport = connection.transport
        written = writer is None or writer.done()
        return written and (transport is None or not transport.get_write_buffer_size())


class _Lease:
    """An aiohttp connection that goes back into the pool only once it is known to be clean.

    aiohttp releases a connection when the answer's last byte came, which may be before its status was looked at.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._clean: bool | None = None
        self._released = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def judge(self, *, clean: bool) -> None:
        """Say whether the connection may be used again."""
        self._clean = clean
        if self._released:
            self.release()

    def release(self) -> None:
        """Give the connection back, or close it; postpone that until it is known to be clean or not."""
        self._released = True
        if self._clean is not None:
            (self._connection.release if self._clean else self._connection.close)()


class Dropped(aiohttp.ClientError):
    """A connection was lost after a request was sent on it, before an answer began."""


async def sent_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again by itself; as a client's middleware it raises `Dropped` instead.

    aiohttp also repeats PUT and DELETE if a connection is lost, although OpenSearch may have acted on them.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Dropped from error


class RawRequest(aiohttp.ClientRequest):
    """A request whose target and headers are Latin-1 strings and go out as those bytes; aiohttp would write UTF-8."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Send the request's head; its body follows."""
        texts = (str(self.url), *(text for header in self.headers.items() for text in header))
        ascii_alone = all(text.isascii() for text in texts)
        return await super().send(conn if ascii_alone else cast("Any", _LatinConnection(conn)))


class _LatinConnection:
    """An aiohttp connection whose first write, the head and maybe some of the body, is encoded in Latin-1."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.protocol = _LatinProtocol(connection.protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _LatinProtocol:
    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._transport = _LatinTransport(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    @property
    def transport(self) -> Any:
        return self._transport if self._protocol.transport is not None else None


class _LatinTransport:
    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._head_written = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol.transport, name)

    def write(self, data: bytes) -> None:
        if not self._head_written:
            self._head_written = True
            head, end, rest = bytes(data).partition(b"\r\n\r\n")
            data = head.decode("utf-8").encode("latin-1") + end + rest
        self._protocol.transport.write(data)

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))
