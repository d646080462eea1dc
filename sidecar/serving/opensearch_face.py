"""The face that OpenSearch's clients see: searches that ask for it are reranked, all else passes through unchanged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sidecar.errors import SidecarError
from sidecar.reasons import Reason, Why
from sidecar.serving import bodies, msearch_story, search_story
from sidecar.serving.asgi import Exchange, Receive, Scope, Send
from sidecar.serving.asked import Asked, Rule, Terms, asked_in, rule_for, search_identity, terms
from sidecar.serving.compression import compressed
from sidecar.serving.headers import Headers
from sidecar.serving.held_bytes import HeldBytes, Hold
from sidecar.serving.logs import log_access
from sidecar.serving.metrics import Metrics
from sidecar.serving.node_addresses import address_in, tells_addresses, with_address
from sidecar.serving.proxy import Proxy, refuse, upstream_failed
from sidecar.serving.routes import Kind, Route, route
from sidecar.serving.search_story import Answered, Search
from sidecar.serving.service import Outcome, RerankingService, Status
from sidecar.serving.shadow import ShadowFile, shadow_record
from sidecar.serving.upstream import AnswerTooLarge, UpstreamDown, UpstreamSlow

_log = logging.getLogger("sidecar.opensearch")


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """What the operator decided: defaults of a reranking, rules, and limits."""

    defaults: Terms
    models: Sequence[str]
    rules: Sequence[Rule] = ()
    max_concurrent: int = 64
    allowed_hosts: frozenset[str] = frozenset()
    advertised_address: str = "auto"


class _Skip(Exception):
    """Passes a search through unranked."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.why = Why(reason, words)


class OpenSearchFace:
    """An ASGI application. `ours` answers what lies under `/_sidecar`; `enabled` is the switch of all reranking.

    `record` takes what shadow rules would have changed, where that is wanted.
    """

    def __init__(
        self,
        proxy: Proxy,
        service: RerankingService,
        options: FaceOptions,
        *,
        metrics: Metrics,
        held: HeldBytes | None = None,
    ) -> None:
        self.proxy = proxy
        self.service = service
        self.options = options
        self.enabled = True
        self.held = held or HeldBytes()
        self.in_flight = 0
        self.ours: Callable[[Exchange], Awaitable[None]] = _nothing
        self._metrics = metrics
        self.record: ShadowFile | None = None
        self._shadows: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; errors of ours have OpenSearch's shape."""
        exchange = Exchange.of(scope, receive, send)
        found = route(exchange.method, exchange.raw_path)
        outcome = None
        try:
            if not self._host_is_allowed(exchange):
                await refuse(exchange, 403, "this host name is not served here")
            elif found.kind is Kind.OURS:
                await self.ours(exchange)
            elif (address := self._address_to_tell(exchange)) is not None:
                await self.proxy.pass_on_changed(exchange, partial(with_address, address=address))
            elif found.kind is Kind.OTHER or not self.enabled:
                await self.proxy.pass_on(exchange)
            else:
                outcome = await self._search(exchange, found)
        except bodies.ClientLeft:
            pass
        except bodies.BodyTooSlow:
            await refuse(exchange, 408, "the request's body did not arrive in time")
        except (UpstreamDown, UpstreamSlow) as failure:
            await upstream_failed(exchange, failure)
        except AnswerTooLarge as failure:
            await refuse(exchange, 502, str(failure))
        finally:
            self._metrics.request("opensearch", found.kind.value, exchange, outcome)
            log_access("opensearch", found.kind.value, exchange, outcome)

    async def drain(self) -> None:
        """Wait for what goes on behind answers that were given."""
        await asyncio.gather(*self._shadows, return_exceptions=True)

    def _host_is_allowed(self, exchange: Exchange) -> bool:
        allowed = self.options.allowed_hosts
        if exchange.raw_path.startswith(b"/_sidecar/health/"):
            return True  # whoever probes a container knows its address alone
        host = exchange.header(b"host").decode("latin-1")
        return not allowed or host in allowed or host.rpartition(":")[0] in allowed

    def _address_to_tell(self, exchange: Exchange) -> str | None:
        """What a client that asks for the nodes is told as their address; None for every other request."""
        told = self.options.advertised_address
        if told == "off" or not tells_addresses(exchange.method, exchange.raw_path):
            return None
        return address_in(exchange.header(b"host"), exchange.scheme) if told == "auto" else told

    async def _search(self, exchange: Exchange, found: Route) -> Outcome | None:
        """Rerank a search if it asks for it, or a rule does; None if nobody does."""
        with self.held.hold(self.proxy.peer_of(exchange)) as hold:
            return await self._search_within(exchange, found, hold)

    async def _search_within(self, exchange: Exchange, found: Route, hold: Hold) -> Outcome | None:
        body = bodies.Body(exchange.receive, self.proxy.body_limits, hold)
        try:
            search = await self._read(exchange, found, body, hold)
            chosen = self._terms(found.index, search.body) if found.kind is Kind.SEARCH else None
            if chosen is None and not (found.kind is Kind.MSEARCH and msearch_story.anybody_asks(search, self._terms)):
                await self.proxy.pass_on(exchange, body)
                return None
            self._check(exchange)
        except _Skip as skip:
            outcome = Outcome(Status.SKIPPED, skip.why)
            await self.proxy.pass_on(exchange, body, extra=_said(outcome))
            return outcome
        except SidecarError as error:
            await refuse(exchange, 400, error.message)
            return None
        if chosen is None or not chosen.shadow:
            return await self._rerank_safely(exchange, body, search, chosen)
        await self.proxy.pass_on(exchange, body)
        task = asyncio.create_task(self._shadow(search, chosen))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)
        return None

    async def _read(self, exchange: Exchange, found: Route, body: bodies.Body, hold: Hold) -> Search:
        """Read a search whole. Raises `_Skip` where it is too large or unreadable."""
        why = await body.read()
        if why is not None:
            raise _Skip(why.reason, why)
        try:
            encoding = exchange.header(b"content-encoding")
            plain = bodies.decompressed(body.prefix, encoding, limit=self.proxy.body_limits.size)
        except (bodies.BodyUnreadable, bodies.BodyTooLarge):
            raise _Skip(Reason.BODY_UNREADABLE, "the body can't be decompressed within its limit") from None
        path, query = exchange.raw_path.decode("latin-1"), exchange.query.decode("latin-1")
        headers = self.proxy.headers(exchange)
        caller, peer = exchange.caller, self.proxy.peer_of(exchange)
        return Search(exchange.method, path, query, headers, found.index, plain, caller, found.kind, peer, hold)

    def _terms(self, index: str, body: bytes) -> Terms | None:
        """How to rerank, None if nobody asks for it. Raises `InputError` or `FusionError` for what can't be."""
        asked = asked_in(body)
        rule = rule_for(self.options.rules, index, body)
        if asked is None and rule is None:
            return None
        return terms(asked or Asked(), rule, self.options.defaults, self.options.models)

    def _check(self, exchange: Exchange) -> None:
        """Raises `_Skip` for what can't be rewritten, or not now."""
        if exchange.header(b"authorization").startswith(b"AWS4-HMAC-SHA256"):
            words = "the request is signed (AWS SigV4), and rewriting it would break the signature"
            raise _Skip(Reason.SIGNED, words)
        content_type = exchange.header(b"content-type").partition(b";")[0].strip().lower()
        if content_type and not content_type.endswith(b"json"):
            raise _Skip(Reason.NOT_JSON, f"the body is {content_type.decode('latin-1')[:60]}, not JSON")
        if self.in_flight >= self.options.max_concurrent:
            raise _Skip(Reason.OVERLOADED, f"overloaded: {self.in_flight} searches are being reranked")

    async def _rerank_safely(
        self, exchange: Exchange, body: bodies.Body, search: Search, chosen: Terms | None
    ) -> Outcome:
        """Answer with the caller's own search where we have a fault of our own."""
        try:
            return await self._rerank(exchange, search, chosen)
        except (UpstreamDown, UpstreamSlow, bodies.ClientLeft):
            raise
        except AnswerTooLarge as too_large:
            outcome = Outcome(Status.SKIPPED, Why(Reason.ANSWER_TOO_LARGE, str(too_large)))
            await self.proxy.pass_on(exchange, body, extra=_said(outcome))
            return outcome
        except Exception:
            if exchange.answered:
                raise
            _log.exception("a fault of ours")
            why = Why(Reason.INTERNAL_ERROR, "a fault of the sidecar's, see its log")
            outcome = Outcome(Status.FAILED, why)
            await self.proxy.pass_on(exchange, body, extra=_said(outcome))
            return outcome

    async def _rerank(self, exchange: Exchange, search: Search, chosen: Terms | None) -> Outcome:
        """Answer a search by its terms, or several searches (None), which have terms of their own."""
        upstream, service, started = self.proxy.upstream, self.service, exchange.started
        self.in_flight += 1
        try:
            if chosen is None:
                story = msearch_story.answer(search, self._terms, upstream, service, started)
            else:
                story = search_story.answer(search, chosen, upstream, service, started)
            answered = await bodies.unless_left(exchange.receive, story)
        finally:
            self.in_flight -= 1
        outcome = answered.outcome
        if chosen is not None and outcome.status is Status.FAILED and chosen.on_failure == "error":
            await refuse(exchange, 503, f"reranking failed: {outcome.words}", _said(outcome))
            return outcome
        headers, body = await compressed(answered.headers, answered.body, exchange.header(b"accept-encoding"))
        timing = _server_timing(answered, exchange.elapsed)
        await exchange.answer(answered.status, [*headers, *_said(outcome), timing], body)
        return outcome

    async def _shadow(self, search: Search, chosen: Terms) -> None:
        """Rerank what was answered already, count what that would have changed, and record it."""
        self.in_flight += 1
        started = time.perf_counter()
        try:
            with self.held.hold(search.peer) as hold:
                counted = replace(search, hold=hold)
                answered = await search_story.answer(counted, chosen, self.proxy.upstream, self.service, started)
            outcome = answered.outcome
        except (UpstreamDown, UpstreamSlow, AnswerTooLarge) as failure:
            outcome = search_story.of(chosen, Outcome(Status.FAILED, Why(Reason.UPSTREAM_FAILED, str(failure))))
        except Exception:  # noqa: BLE001  nobody waits for it, and the log has it
            _log.exception("a fault of ours, in a shadow")
            outcome = search_story.of(chosen, Outcome(Status.FAILED, Why(Reason.INTERNAL_ERROR, "a fault of ours")))
        finally:
            self.in_flight -= 1
        seconds = time.perf_counter() - started
        self._metrics.shadow(outcome, seconds)
        if self.record is not None:
            identity = search_identity(search.index, search.body)
            lost = await self.record.write(shadow_record(outcome, search.index, identity, seconds))
            self._metrics.shadow_lost(lost)


async def _nothing(exchange: Exchange) -> None:
    await refuse(exchange, 404, "there is nothing here")


def _said(outcome: Outcome) -> Headers:
    """The headers that say what became of a reranking."""
    said: Headers = [(b"x-rerank-status", outcome.status.value.encode())]
    if outcome.reason:
        plain = " ".join(outcome.words.split())[:300]
        said.append((b"x-rerank-reason", plain.encode("ascii", "replace")))
    return said


def _server_timing(answered: Answered, total: float) -> tuple[bytes, bytes]:
    stages = {**answered.seconds, "total": total}
    return b"server-timing", ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in stages.items()).encode()
