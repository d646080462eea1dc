"""A request's body, within bounds of size, time and decompression."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from sidecar.serving.asgi import Receive

Result = TypeVar("Result")


class BodyTooLarge(Exception):
    """The body is larger than allowed, as it came or decompressed."""


class BodyTooSlow(Exception):
    """The body did not arrive in time."""


class BodyUnreadable(Exception):
    """The body is not what its headers say."""


class ClientLeft(Exception):
    """The caller closed the connection."""


class Body:
    """A request's body: read whole if it is no longer than `limit` bytes, else streamed.

    `prefix` is what has been read. Each part has to arrive within `seconds`.
    """

    def __init__(self, receive: Receive, *, limit: int, seconds: float) -> None:
        self.prefix = b""
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._more = True

    async def read(self) -> bool:
        """Read the body; False where it is longer than the limit. Raises `BodyTooSlow` or `ClientLeft`."""
        parts: list[bytes] = []
        size = 0
        while self._more and size <= self._limit:
            part = await self._part()
            size += len(part)
            parts.append(part)
        self.prefix = b"".join(parts)
        return size <= self._limit

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield what has been read, then what still comes. Raises as `read`."""
        if self.prefix:
            yield self.prefix
        while self._more:
            part = await self._part()
            if part:
                yield part

    async def _part(self) -> bytes:
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow from None
        if message["type"] == "http.disconnect":
            raise ClientLeft
        self._more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


def decompressed(body: bytes, encoding: bytes, *, limit: int) -> bytes:
    """Undo `Content-Encoding: gzip`, to at most `limit` bytes. Raises `BodyTooLarge` or `BodyUnreadable`."""
    if encoding in {b"", b"identity"}:
        return body
    if encoding not in {b"gzip", b"x-gzip"}:
        raise BodyUnreadable(f"content-encoding {encoding.decode('latin-1')[:40]!r}")
    stream = zlib.decompressobj(wbits=31)
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise BodyUnreadable(str(error)) from None
    if len(plain) > limit:
        raise BodyTooLarge
    if not stream.eof or stream.unused_data:
        raise BodyUnreadable("the gzip stream is cut off, or followed by something else")
    return plain


async def unless_left(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work while the caller waits for it. Raises `ClientLeft`, the work cancelled, when they leave.

    The request's body has to be read by then.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
