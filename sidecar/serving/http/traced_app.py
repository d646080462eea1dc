"""The span of each request that comes in, around an ASGI application. HTTP's semantic conventions name its attributes.

Source: OpenTelemetry, "Semantic conventions for HTTP spans", the stable attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol

from starlette.types import ASGIApp

from sidecar.core.trace import TraceSpan, Value, WithinSpan, current_span, tell
from sidecar.serving.http.asgi import Exchange, Receive, Scope, Send, in_ascii
from sidecar.serving.http.headers import Headers

# Probes and scrapes come every few seconds, and say nothing of anybody's search.
_UNTRACED = frozenset({"/health", "/tei/health", "/metrics"})
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_LONGEST = 500


class Traces(Protocol):
    """The interface that begins the span of a request."""

    def begin(self, name: str, headers: Headers, attributes: Mapping[str, Value]) -> TraceSpan:
        """Begin the span of a request that came in with these headers."""
        ...


class TracedApp:
    """An application with a span for each request; neither its query nor a header but the user agent is told."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self.app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED or scope["path"].startswith("/_sidecar/"):
            await self.app(scope, receive, send)
            return
        exchange = Exchange.of(scope, receive, send)
        span = self._traces.begin(_method(exchange), exchange.headers, _attributes(exchange, scope))
        with WithinSpan(span) as within:

            async def sent(message: MutableMapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    within.answered(message["status"], is_error=message["status"] >= 500)
                await send(message)

            await self.app(scope, receive, sent)


def tell_route(method: str, template: str) -> None:
    """Name the span of the request after its route, such as `/{index}/_search`; "" for none."""
    if template and (span := current_span()) is not None:
        tell({"http.route": template})
        span.rename(f"{method} {template}")


def _method(exchange: Exchange) -> str:
    return exchange.method if exchange.method in _METHODS else "HTTP"


def _attributes(exchange: Exchange, scope: Scope) -> dict[str, Value]:
    address, port = scope.get("server") or ("", None)
    known = {
        "http.request.method": exchange.method if exchange.method in _METHODS else "_OTHER",
        "url.path": in_ascii(exchange.raw_path)[:_LONGEST],
        "url.scheme": exchange.scheme,
        "server.address": address,
        "server.port": port,
        "client.address": exchange.peer,
        "user_agent.original": exchange.header(b"user-agent").decode("latin-1")[:_LONGEST],
    }
    return {name: value for name, value in known.items() if value}
