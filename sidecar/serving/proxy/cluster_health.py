"""Knows whether OpenSearch answers, and its name: from other requests, or by a request of its own if need be."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from connectors.opensearch.flow.product import product_in
from sidecar.serving.http.headers import Headers
from sidecar.serving.proxy.messages import Request
from sidecar.serving.proxy.upstream import AnswerTooLarge, Result, Try, Upstream, UpstreamDown, UpstreamSlow

# Seconds for which an answer counts as proof that OpenSearch answers, and a failure as proof that it does not.
FRESH, FAILED_FRESH = 5.0, 1.0
# Seconds that OpenSearch has for its answer, and that a health check waits for it.
CHECKING, WAITING = 5.0, 1.0
# Seconds in which one kind of failure of one node is logged once.
QUIET = 10.0
# The security plugin answers this without an account, so repeated checks are no failed logins in its log.
_OPEN_PATH = "/_plugins/_security/health"
# Answers of a cluster that is not formed yet, or of a proxy in front of one that is gone.
_ILL = frozenset({502, 503, 504})
_log = logging.getLogger("sidecar.upstream")


class ClusterHealth:
    """A cluster's health. `tried` must be called with every try at a node.

    `reason` says why the cluster does not answer, "" if it does. `about` is its name and version, "" while they are
    unknown; `authorization` is the account to read them with.
    """

    def __init__(
        self,
        upstream: Upstream,
        *,
        authorization: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reason = "it was not asked yet"
        self.about = ""
        self._upstream = upstream
        self._account: Headers = [] if authorization is None else [(b"authorization", authorization)]
        self._clock = clock
        self._known_at = float("-inf")
        self._logged: dict[tuple[str, Result], float] = {}
        self._checking: asyncio.Task[None] | None = None

    def tried(self, one: Try) -> None:
        """Take note of a try at a node; failures are logged, at most once in a while."""
        now = self._clock()
        if one.answered:
            if one.status not in _ILL:
                if self._logged:
                    _log.info("OpenSearch answers again at %s", one.node)
                    self._logged.clear()
                self.reason, self._known_at = "", now
            return
        if not one.broken_off:
            self.reason, self._known_at = one.reason, now
        if now - self._logged.get((one.node, one.result), float("-inf")) >= QUIET:
            self._logged[one.node, one.result] = now
            _log.warning("OpenSearch at %s: %s", one.node, one.reason)

    async def check(self) -> str:
        """Return why OpenSearch does not answer, "" if it does, as known a moment ago or by a new check.

        If the check takes longer than a moment, the last known reason is returned.
        """
        if self._clock() - self._known_at >= (FAILED_FRESH if self.reason else FRESH):
            if self._checking is None or self._checking.done():
                self._checking = asyncio.create_task(self.refresh())
            await asyncio.wait({self._checking}, timeout=WAITING)
        return self.reason

    async def refresh(self) -> None:
        """Read OpenSearch's name, or only check that it answers if it does not show its name to everybody."""
        if not self._upstream.checks_accounts:
            await self._get("/", [])
        if self._upstream.checks_accounts:  # as may have just turned out
            await (self._get("/", self._account) if self._account else self._get(_OPEN_PATH, []))

    async def introduce(self) -> None:
        """Check once, and log the result."""
        await self.refresh()
        where = ", ".join(self._upstream.nodes)
        if self.reason:
            _log.warning("no OpenSearch at %s: %s; requests get 502 until it answers", where, self.reason)
        else:
            _log.info("OpenSearch at %s: %s", where, self.about or "its name and version are for accounts alone")

    async def stop(self) -> None:
        """End a check under way."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    async def _get(self, path: str, headers: Headers) -> None:
        try:
            async with asyncio.timeout(CHECKING):
                reply = await self._upstream.fetch(Request("GET", path, headers, is_read=True))
        except TimeoutError:
            self.reason, self._known_at = f"no answer within {CHECKING:g} s", self._clock()
            return
        except (UpstreamDown, UpstreamSlow, AnswerTooLarge):
            return  # `tried` knows
        if reply.status in _ILL:
            self.reason, self._known_at = f"it answers {reply.status}", self._clock()
        elif reply.status == 200 and path == "/":
            found = product_in(reply.body)
            named = "" if found is None else f"{found.cluster_name} ({found.name.lower()} {found.version.number})"
            self.about = named or "a server that does not say that it is OpenSearch or Elasticsearch"
