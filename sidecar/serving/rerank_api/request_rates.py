"""A layer of the rerank API that limits a caller's requests a minute, and tells what is left of them and of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidecar.core.errors import RateLimited
from sidecar.serving.rerank_api.dialect import Dialect
from sidecar.serving.rerank_api.handler import refused
from sidecar.serving.rerank_api.middleware import CALLER
from sidecar.serving.rerank_api.problem import over_the_rate
from sidecar.serving.scorer.rate_limits import RateLimits, Unit


class RequestRates:
    """An ASGI application around another: requests to paths that `counts` names are within their caller's `rates`.

    `dialect_at` gives the dialect of errors at a path. The middleware around it has identified the caller.
    """

    def __init__(
        self, app: ASGIApp, rates: RateLimits, counts: Callable[[str], bool], dialect_at: Callable[[str], Dialect]
    ) -> None:
        self.app = app
        self.rates = rates
        self.counts = counts
        self.dialect_at = dialect_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not self.counts(scope["path"]):
            await self.app(scope, receive, send)
            return
        caller = scope[CALLER]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._told(caller)]
            await send(message)

        app = self.app
        try:
            self.rates.take(Unit.REQUESTS, caller)
        except RateLimited as error:
            app = refused(self.dialect_at(scope["path"]), over_the_rate(error))
        await app(scope, receive, sent)

    def _told(self, caller: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the headers that tell what a caller has left of this minute, by the names of OpenAI's API."""
        for one in self.rates.allowances(caller):
            for name, value in (("limit", one.most), ("remaining", one.left), ("reset", f"{one.seconds}s")):
                yield f"x-ratelimit-{name}-{one.unit}".encode(), str(value).encode()
