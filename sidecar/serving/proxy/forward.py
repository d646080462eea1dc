"""Forwards requests that are not ours: streams them to OpenSearch, and the answers back, unchanged."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sidecar.serving.http import request_body
from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.callers import Caller, TrustedProxies
from sidecar.serving.http.errors import JSON, error_body
from sidecar.serving.http.headers import Headers, to_client, to_upstream, without
from sidecar.serving.http.request_body import BodyLimits
from sidecar.serving.proxy.messages import Request
from sidecar.serving.proxy.routes import PassThrough, passes
from sidecar.serving.proxy.upstream import Upstream, UpstreamDown, UpstreamSlow

_log = logging.getLogger("sidecar.proxy")


class Forwarder:
    """Forwards whole requests to OpenSearch.

    `body_limits` are those of their bodies. `trusted` are the proxies that may name a caller, `passed` patterns of
    further headers that any client may send. `lent` is the `Authorization` for callers who send none;
    without it the sidecar has no rights of its own.
    """

    def __init__(  # noqa: PLR0913  each is a setting of its own, by keyword
        self,
        upstream: Upstream,
        *,
        allowed: PassThrough,
        body_limits: BodyLimits,
        trusted: TrustedProxies | None = None,
        passed: tuple[str, ...] = (),
        lent: bytes | None = None,
    ) -> None:
        self.upstream = upstream
        self.allowed = allowed
        self.body_limits = body_limits
        self.trusted = trusted or TrustedProxies()
        self.passed = passed
        self._lent = lent

    def headers(self, exchange: Exchange) -> Headers:
        """Return the request's headers for OpenSearch."""
        found = to_upstream(exchange.headers, trusted=exchange.peer in self.trusted, passed=self.passed)
        if self._lent is not None and not exchange.header(b"authorization"):
            found.append((b"authorization", self._lent))
        return found

    def caller_of(self, exchange: Exchange) -> Caller:
        """Return who sent a request: behind declared proxies, the client that they name."""
        return exchange.caller(self.trusted)

    def peer_of(self, exchange: Exchange) -> str:
        """Return the network of a request's caller."""
        return self.caller_of(exchange).network

    async def pass_on_changed(self, exchange: Exchange, change: Callable[[bytes], bytes]) -> None:
        """Forward a read, and return its answer with its body changed. Raises what `Upstream.fetch` does.

        OpenSearch is not told that the caller accepts compressed answers, so that the body can be changed.
        """
        if not passes(exchange.method, exchange.raw_path, self.allowed):
            await refuse(exchange, 403, f"only {self.allowed.value} requests pass here")
            return
        headers = without(self.headers(exchange), b"accept-encoding", b"content-length", b"transfer-encoding")
        peer = self.peer_of(exchange)
        reply = await self.upstream.fetch(Request(exchange.method, exchange.target, headers, is_read=True, peer=peer))
        body = change(reply.body) if reply.status == 200 else reply.body
        await exchange.answer(reply.status, reply.headers, body)

    async def pass_on(
        self,
        exchange: Exchange,
        body: request_body.Body | None = None,
        extra: Headers | None = None,
        instead: Request | None = None,
    ) -> None:
        """Stream a request through, and its answer back with the `extra` headers.

        `body` is the request's, if part of it was read already; `instead` is sent in place of the request. An answer
        that breaks off also breaks off at the caller. Raises `ClientLeft`.
        """
        if not passes(exchange.method, exchange.raw_path, self.allowed):
            await refuse(exchange, 403, f"only {self.allowed.value} requests pass here")
            return
        body = body or request_body.Body(exchange.receive, self.body_limits)
        framed = any(name in {b"content-length", b"transfer-encoding"} for name, _ in exchange.headers)
        is_read = exchange.method in {"GET", "HEAD"} and not framed
        content = body.stream() if framed else None
        peer = self.peer_of(exchange)
        own = Request(exchange.method, exchange.target, self.headers(exchange), content, is_read=is_read, peer=peer)
        try:
            async with self.upstream.stream(instead or own) as answer:
                await exchange.begin(answer.status, [*to_client(answer.raw_headers), *(extra or [])])
                async for part in self.upstream.parts(answer):
                    await exchange.more(part)
                await exchange.more(b"", last=True)
        except (UpstreamDown, UpstreamSlow) as failure:
            await upstream_failed(exchange, failure)
        except request_body.BodyTooSlow:
            await refuse(exchange, 408, "the request's body did not arrive in time")


async def upstream_failed(exchange: Exchange, failure: UpstreamDown | UpstreamSlow) -> None:
    """Answer with an error because OpenSearch did not answer."""
    exchange.problem = str(failure)
    if isinstance(failure, UpstreamSlow):
        await refuse(exchange, 504, f"OpenSearch gave no answer in time ({failure})")
    else:
        await refuse(exchange, 502, f"no OpenSearch node answered ({failure})")


async def refuse(exchange: Exchange, status: int, reason: str, extra: Headers | None = None) -> None:
    """Answer with an error in OpenSearch's shape; if an answer has begun, only the connection can be closed."""
    if exchange.answered:
        _log.warning("an answer was cut off: %s", reason)
        return
    await exchange.answer(status, [*JSON, *(extra or [])], error_body(status, reason))
