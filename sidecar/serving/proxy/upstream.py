"""Sends requests to the nodes of OpenSearch, with the caller's own bytes and headers.

It does not decode, decompress, redirect or keep anything; reads may be tried on another node, writes never.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import aiohttp
from yarl import URL

from connectors.opensearch.flow.cluster_state import Cluster
from sidecar.core.trace import ClientRequest
from sidecar.serving.http.headers import to_client
from sidecar.serving.http.held_bytes import HeldBytes, Hold
from sidecar.serving.http.request_body import BodyBroken
from sidecar.serving.http.shares import Shares
from sidecar.serving.proxy.messages import Reply, Request
from sidecar.serving.proxy.routes import template_of
from sidecar.serving.proxy.upstream_connection import Answer, Dropped, RawRequest, sent_once
from sidecar.serving.proxy.upstream_failures import failure_of

# Seconds for which a node that refused a connection is passed over, where there are others.
REST = 5.0
# Seconds after which the next node is tried, if one accepts no connection.
CONNECT = 10.0
# Answers with many warnings have long headers; OpenSearch itself accepts 8192 bytes by default.
MAX_HEADER = 65536
_NO_ACCOUNT = 401
# The largest answer that is read whole, in bytes: a window of 100 documents of a megabyte each fits twice.
MAX_ANSWER = 256 * 1024 * 1024


class UpstreamDown(Exception):
    """No node took the request, or the connection was lost before an answer began."""


class UpstreamSlow(Exception):
    """No answer began in time."""


class AnswerTooLarge(Exception):
    """An answer is too large to be read whole."""


class Result(StrEnum):
    """The result of one try at a node."""

    ANSWERED = "answered"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    BROKEN_OFF = "broken_off"


@dataclass(frozen=True, slots=True)
class Try:
    """One try at a node (its URL): its result, the seconds until then, the status or the reason of a failure."""

    node: str
    result: Result
    seconds: float
    status: int = 0
    reason: str = ""

    @property
    def answered(self) -> bool:
        """Whether the node's answer began."""
        return self.result is Result.ANSWERED

    @property
    def broken_off(self) -> bool:
        """Whether the answer began and did not end."""
        return self.result is Result.BROKEN_OFF


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Limits of requests to a cluster.

    `seconds` is how long an answer may take to begin, and each part to follow; an answer that is read whole has to end
    within them, and be no larger than `max_answer`. One peer has at most `share` of all `connections`: OpenSearch works
    on requests in turn, so other peers wait for as many requests as one peer may send at a time.
    """

    seconds: float
    connections: int = 256
    share: int = 16
    max_answer: int = MAX_ANSWER


class Upstream:
    """The nodes of one cluster.

    `checks_accounts` tells whether the cluster has refused a caller who did not prove their account (401); a cluster
    without security accepts any account. `on_try` is called with every try at a node.
    """

    def __init__(self, nodes: Sequence[str], limits: UpstreamLimits, *, tls: ssl.SSLContext | bool = True) -> None:
        self.cluster = Cluster()
        self.checks_accounts = False
        self.on_try: Callable[[Try], None] = lambda _: None
        self._nodes = [URL(node.rstrip("/"), encoded=True) for node in nodes]
        self._turn = itertools.count()
        self._resting: dict[URL, float] = {}
        self._timeout = limits.seconds
        self._max_answer = limits.max_answer
        self._shares = Shares(limits.share)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.connections, ssl=tls, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=limits.seconds,
                # A lone node that is slow to accept a connection is waited for: there is no other one.
                sock_connect=min(CONNECT, limits.seconds) if len(nodes) > 1 else limits.seconds,
                sock_read=limits.seconds,
            ),
            request_class=RawRequest,
            response_class=Answer,
            middlewares=(sent_once,),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
        )

    @property
    def nodes(self) -> list[str]:
        """The nodes' URLs, without their paths."""
        return [str(node.origin()) for node in self._nodes]

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def fetch(self, request: Request, hold: Hold | None = None) -> Reply:
        """Send a request and read the answer whole, counted by `hold`.

        Raises `UpstreamDown`, `UpstreamSlow` or `AnswerTooLarge`.
        """
        try:
            async with asyncio.timeout(self._timeout), self.stream(request) as answer:
                return Reply(
                    answer.status,
                    to_client(answer.raw_headers),
                    await self._whole(answer, hold or HeldBytes().hold(request.peer)),
                )
        except TimeoutError:
            raise UpstreamSlow(f"no whole answer within {self._timeout:g} s") from None

    async def _whole(self, answer: aiohttp.ClientResponse, hold: Hold) -> bytes:
        before = hold.size
        try:
            return b"".join([part async for part in self._counted(answer, hold)])
        except AnswerTooLarge:
            hold.shrink(before)
            raise

    async def _counted(self, answer: aiohttp.ClientResponse, hold: Hold) -> AsyncIterator[bytes]:
        size, counted = 0, 0
        async for part in self.parts(answer):
            size += len(part)
            if size > self._max_answer:
                raise AnswerTooLarge(f"OpenSearch's answer is larger than {self._max_answer} bytes")
            # All of it at once, if its length is known: of two answers at the same time one must fit.
            wanted = max(size, min(answer.content_length or 0, self._max_answer)) - counted
            if not hold.take(wanted):
                raise AnswerTooLarge("OpenSearch's answer is too large beside those that are in memory already")
            counted += wanted
            yield part

    async def parts(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Yield an answer's body as it arrives. Raises `UpstreamDown` or `UpstreamSlow` if it breaks off."""
        try:
            async for part in answer.content.iter_any():
                yield part
        except TimeoutError:
            failure: UpstreamDown | UpstreamSlow = UpstreamSlow(f"nothing more within {self._timeout:g} s")
        except aiohttp.ClientError as error:
            failure = UpstreamDown(failure_of(error))
        else:
            return
        self.on_try(Try(str(answer.url.origin()), Result.BROKEN_OFF, 0.0, reason=str(failure)))
        raise failure

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; the answer's body is still to be read. Raises `UpstreamDown` or `UpstreamSlow`."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._shares.take(request.peer)
        except TimeoutError:
            raise UpstreamSlow(f"{self._shares.most} requests of this client are under way already") from None
        try:
            answer = await self._begin(request)
            self.checks_accounts |= answer.status == _NO_ACCOUNT
            try:
                yield answer
            finally:
                # An answer that was not read to its end (the caller left) leaves no reusable connection.
                if answer.content.at_eof():
                    answer.release()
                else:
                    answer.close()
        finally:
            self._shares.give_back(request.peer)

    async def _begin(self, request: Request) -> aiohttp.ClientResponse:
        nodes = self._in_turn()
        tries = len(nodes) if request.may_be_repeated else 1
        failure: Exception = UpstreamDown("there is no node")
        for node in nodes[:tries]:
            started = time.perf_counter()
            try:
                answer = await self._traced(node, request)
            except aiohttp.ConnectionTimeoutError:
                failure, result = UpstreamSlow("it took no connection in time"), Result.TIMED_OUT
            except TimeoutError:
                failure, result = UpstreamSlow(f"no answer within {self._timeout:g} s"), Result.TIMED_OUT
            except aiohttp.ClientError as error:
                if isinstance(error.__cause__, BodyBroken):
                    raise error.__cause__ from None  # no failure of the node's
                failure, result = UpstreamDown(failure_of(error)), Result.UNREACHABLE
                self._resting[node] = time.monotonic() + REST
            else:
                self.on_try(Try(str(node.origin()), Result.ANSWERED, time.perf_counter() - started, answer.status))
                return answer
            self.on_try(Try(str(node.origin()), result, time.perf_counter() - started, reason=str(failure)))
        raise failure

    async def _traced(self, node: URL, request: Request) -> aiohttp.ClientResponse:
        """Send a request as a part of the caller's trace, if there is one."""
        template = partial(template_of, request.method, request.target)
        with ClientRequest(request.method, node, request.target, template) as sent:
            answer = await self._sent(node, request.within_trace(sent.headers))
            sent.answered(answer.status, is_error=answer.status >= 400)
            return answer

    async def _sent(self, node: URL, request: Request) -> aiohttp.ClientResponse:
        try:
            return await self._send(node, request)
        except Dropped:
            # The other side may close an idle connection just as it is used again.
            if not request.may_be_repeated:
                raise
            return await self._send(node, request)

    async def _send(self, node: URL, request: Request) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method,
            URL(f"{node}{request.target}", encoded=True),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers],
            data=request.body,
            allow_redirects=False,
        )

    def _in_turn(self) -> list[URL]:
        """Return all nodes, beginning with the next one; those that just failed come last."""
        first = next(self._turn) % len(self._nodes)
        now = time.monotonic()
        turned = self._nodes[first:] + self._nodes[:first]
        return sorted(turned, key=lambda node: self._resting.get(node, 0.0) > now)


def node_url(host: Mapping[str, Any]) -> str:
    """Return a node's URL for one of opensearch-py's hosts; it never holds an account."""
    name = f"[{host['host']}]" if ":" in host["host"] else host["host"]
    scheme = "https" if host["use_ssl"] else "http"
    return f"{scheme}://{name}:{host['port']}/{host.get('url_prefix', '').strip('/')}"
