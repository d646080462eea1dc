"""Read a request's body, within limits of size, time and decompression."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from sidecar.core.reasons import Reason, Why
from sidecar.serving.http.asgi import Receive
from sidecar.serving.http.held_bytes import Hold

# Encodings that OpenSearch decompresses, with zlib's window bits.
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
Result = TypeVar("Result")


class BodyTooLarge(Exception):
    """The body is larger than allowed, as sent or decompressed."""


class BodyUnreadable(Exception):
    """The body does not match its headers."""


class BodyBroken(Exception):
    """The caller did not send all of the body."""


class BodyTooSlow(BodyBroken):
    """The body did not arrive in time."""


class ClientLeft(BodyBroken):
    """The caller closed the connection."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be to be read whole, and how long it may take to arrive.

    Each part may take `part_seconds`; a body that is read whole may take `whole_seconds` for all parts. One that is
    streamed may take longer than `part_seconds` in total only while `rate` bytes a second arrive.
    """

    size: int = 0
    part_seconds: float = 30.0
    whole_seconds: float = 60.0
    rate: int = 1000


class Body:
    """A request's body: read whole if its limits and the memory allow it, else streamed.

    `prefix` holds the bytes read. `hold` counts them.
    """

    def __init__(self, receive: Receive, limits: BodyLimits, hold: Hold | None = None) -> None:
        self.prefix = b""
        self._receive = receive
        self._limits = limits
        self._hold = hold
        self._more = True

    async def read(self) -> Why | None:
        """Read the body, or say why it was not read to its end. Raises `BodyTooSlow` or `ClientLeft`."""
        parts: list[bytes] = []
        why: Why | None = None
        size = 0
        try:
            async with asyncio.timeout(self._limits.whole_seconds):
                while self._more and why is None:
                    parts.append(await self._part())
                    size += len(parts[-1])
                    if size > self._limits.size:
                        why = Why(Reason.BODY_TOO_LARGE, f"the body is larger than {self._limits.size} bytes")
                    elif self._hold is not None and not self._hold.take(len(parts[-1])):
                        why = Why(Reason.OVERLOADED, "overloaded: too many bytes of other requests are in memory")
        except TimeoutError:
            raise BodyTooSlow from None
        self.prefix = b"".join(parts)
        return why

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the bytes already read, then the rest as it arrives. Raises as `read`."""
        if self.prefix:
            yield self.prefix
        waited, received = 0.0, 0
        while self._more:
            asked = time.monotonic()
            part = await self._part()
            # Only time spent waiting for the caller counts; between parts OpenSearch may be slow.
            waited += time.monotonic() - asked
            received += len(part)
            if self._more and waited > self._limits.part_seconds + received / self._limits.rate:
                raise BodyTooSlow
            if part:
                yield part

    async def _part(self) -> bytes:
        try:
            async with asyncio.timeout(self._limits.part_seconds):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow from None
        if message["type"] == "http.disconnect":
            raise ClientLeft
        self._more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


def decompressed(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Undo `Content-Encoding`, to at most `limit` bytes. Raises `BodyTooLarge` or `BodyUnreadable`."""
    coding = encoding.strip().lower()
    if coding in {b"", b"identity"}:
        return body
    if coding not in _WINDOW_BITS:
        raise BodyUnreadable(f"content-encoding {encoding.decode('latin-1')[:40]!r}")
    stream = zlib.decompressobj(wbits=_WINDOW_BITS[coding])
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise BodyUnreadable(str(error)) from None
    if len(plain) > limit:
        raise BodyTooLarge
    if not stream.eof or stream.unused_data:
        raise BodyUnreadable("the compressed data are truncated, or followed by other data")
    return plain


async def unless_left(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work while the caller waits for it. If they leave, cancel the work and raise `ClientLeft`.

    The request's body must have been read before.
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
