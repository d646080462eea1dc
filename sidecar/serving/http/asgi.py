"""One HTTP exchange over ASGI, for both ports: the parsed request, and methods to answer it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sidecar.serving.http.callers import Caller, TrustedProxies
from sidecar.serving.http.headers import Headers, list_of, value_of

_ASCII = bytes(range(128))

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class Exchange:
    """A request and the methods to answer it. `raw_path` and `query` are as received.

    `peer` is the address that it was sent from: its caller's, or a proxy's. `problem` says what went wrong with it, for
    the log.
    """

    method: str
    raw_path: bytes
    query: bytes
    headers: Headers
    peer: str
    receive: Receive
    send: Send
    started: float = field(default_factory=time.perf_counter)
    answered: int = 0
    problem: str = ""
    scheme: str = "http"

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send) -> Exchange:
        """Parse an ASGI HTTP request."""
        peer = scope.get("client") or ("", 0)
        raw_path = scope.get("raw_path") or scope["path"].encode()
        headers, scheme = list(scope["headers"]), scope.get("scheme", "http")
        return cls(scope["method"], raw_path, scope["query_string"], headers, peer[0], receive, send, scheme=scheme)

    @property
    def target(self) -> str:
        """Return the path and query as received, with bytes beyond ASCII percent-encoded."""
        path = in_ascii(self.raw_path)
        return f"{path}?{in_ascii(self.query)}" if self.query else path

    def caller(self, trusted: TrustedProxies) -> Caller:
        """Return the caller: their address, as `trusted` proxies name it, and the account that they claim."""
        address = trusted.client(self.peer, list_of(self.headers, b"x-forwarded-for"))
        return Caller(address, self.header(b"authorization"))

    @property
    def elapsed(self) -> float:
        """Return the seconds since the request was parsed."""
        return time.perf_counter() - self.started

    def header(self, name: bytes) -> bytes:
        """Return a header's first value, empty if it is missing; `name` is in lower case."""
        return value_of(self.headers, name)

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the status and the headers."""
        self.answered = status
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, part: bytes, *, last: bool = False) -> None:
        """Send a part of the body."""
        await self.send({"type": "http.response.body", "body": part, "more_body": not last})

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer; `content-length` is set here."""
        kept = [(name, value) for name, value in headers if name != b"content-length"]
        await self.begin(status, [*kept, (b"content-length", b"%d" % len(body))])
        await self.more(b"" if self.method == "HEAD" else body, last=True)


def in_ascii(raw: bytes) -> str:
    """Percent-encode a part of a target without changing its meaning for OpenSearch, which reads it as Latin-1."""
    return quote(raw.decode("latin-1"), safe=_ASCII)
