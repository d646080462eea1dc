"""The outer layer of the rerank API: access control, request ids, and metrics."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.callers import TrustedProxies
from sidecar.serving.http.hosts import host_is_served
from sidecar.serving.http.management_access import client_of, key_fits
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.http.request_body import ClientLeft
from sidecar.serving.http.traced_app import tell_route
from sidecar.serving.rerank_api.dialect import Dialect
from sidecar.serving.rerank_api.handler import broken, refused
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.scorer.rate_limits import CLIENT

IDENTITY = "sidecar.identity"
CALLER = "sidecar.caller"
_NAMES = (b"x-request-id", b"x-opaque-id")
_FIT_FOR_HEADER = re.compile(rb"[\x20-\x7e]{1,200}")
_SLASHES = re.compile("//+")
_PROBED = frozenset({"/health", "/tei/health"})
_log = logging.getLogger("sidecar.api")


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Who has access: everybody to `open_paths`; if there are keys, only callers with one of them to other paths.

    `api_key` is the service's own, `client_keys` are those of clients by their names. `trusted` are the proxies that
    may name a caller.
    """

    api_key: str | None = None
    client_keys: Mapping[str, str] = field(default_factory=dict)
    allowed_hosts: frozenset[str] = frozenset()
    open_paths: frozenset[str] = frozenset()
    trusted: TrustedProxies = TrustedProxies()  # noqa: RUF009  it never changes

    def admits(self, exchange: Exchange, client: str | None) -> bool:
        """True if a request carries a key, `client` being the name of a client's, or if none is needed."""
        if client is not None:
            return True
        return key_fits(self.api_key, exchange) and (self.api_key is not None or not self.client_keys)


class ApiMiddleware:
    """An ASGI application around another.

    Applies the access policy, gives every request an id (its own `X-Request-Id`, or a new one) which is sent back, and
    turns exceptions into answers. `dialect_at` gives the dialect of errors at a path. Repeated slashes in a path, which
    clients make from a base address that ends in one, are removed, except if the path is `verbatim`. A HEAD is handled
    as a GET whose body is not sent. `management`, if there is one, answers the paths under `/_sidecar`.
    """

    def __init__(  # noqa: PLR0913  independent parts, by keyword
        self,
        app: ASGIApp,
        policy: AccessPolicy,
        *,
        dialect_at: Callable[[str], Dialect],
        verbatim: Callable[[str], bool],
        metrics: Metrics,
        management: Callable[[Exchange], Awaitable[None]] | None = None,
    ) -> None:
        self.app = app
        self.policy = policy
        self.dialect_at = dialect_at
        self.verbatim = verbatim
        self.metrics = metrics
        self.management = management

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange.of(scope, receive, send)
        # The listener still knows that it was a HEAD, and sends no body.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["path"] if self.verbatim(scope["path"]) else _SLASHES.sub("/", scope["path"]).rstrip("/") or "/"
        scope = {**scope, "method": method, "path": path}
        echoed = _names_of(exchange)
        scope[IDENTITY] = dict(echoed)[b"x-request-id"].decode("ascii")
        client = client_of(self.policy.client_keys, exchange)
        # The service's own key may be shared by many callers, so it does not identify one.
        scope[CALLER] = exchange.caller(self.policy.trusted).key() if client is None else f"{CLIENT}{client}"
        dialect = self.dialect_at(scope["path"])

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.answered = message["status"]
                message["headers"] = [*message["headers"], *echoed]
            await send(message)

        try:
            problem = self._refusal(exchange, path, client)
            if problem is None and self.management is not None and _is_management(scope["path"]):
                exchange.send = sent
                await self.management(exchange)
                return
            app = self.app if problem is None else refused(dialect, problem)
            await app(scope, receive, sent)
            tell_route(exchange.method, getattr(scope.get("route"), "path", ""))
        except ClientLeft:
            pass
        except Exception:  # noqa: BLE001  after any error the caller gets an answer in their dialect
            _log.exception("a request to %s failed", scope["path"])
            if not exchange.answered:
                await broken(dialect)(scope, receive, sent)
        finally:
            self.metrics.request("rerank", dialect.name, exchange, None)

    def _refusal(self, exchange: Exchange, path: str, client: str | None) -> Problem | None:
        # A probe of a container knows its address alone.
        is_probe = path in _PROBED or path.startswith("/_sidecar/health/")
        if not is_probe and not host_is_served(exchange, self.policy.allowed_hosts):
            return Problem(Fault.WRONG_HOST, "this host name is not served here")
        is_open = path in self.policy.open_paths or (self.management is not None and _is_management(path))
        if not is_open and not self.policy.admits(exchange, client):
            return Problem(Fault.NO_KEY, "the API key is missing or wrong")
        return None


def client_caller(scope: Scope) -> str:
    """Return the caller of a request that carries a client's key; "" for another."""
    caller: str = scope[CALLER]
    return caller if caller.startswith(CLIENT) else ""


def _is_management(path: str) -> bool:
    """True for a path that `management` answers, which checks the key itself."""
    return path.startswith("/_sidecar/")


def _names_of(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Return the caller's ids of the request; `x-request-id` is always among them."""
    found: list[tuple[bytes, Any]] = [(name, exchange.header(name)) for name in _NAMES]
    fit = [(name, value) for name, value in found if _FIT_FOR_HEADER.fullmatch(value)]
    if not any(name == b"x-request-id" for name, _ in fit):
        fit.append((b"x-request-id", str(uuid.uuid4()).encode()))
    return fit
