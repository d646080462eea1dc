"""The proxy in front of OpenSearch: reranks searches that request it, and passes everything else through unchanged."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.errors import SidecarError
from sidecar.core.reasons import Reason, Why
from sidecar.core.trace import tell
from sidecar.serving.http import request_body
from sidecar.serving.http.access_log import log_access
from sidecar.serving.http.asgi import Exchange, Receive, Scope, Send
from sidecar.serving.http.held_bytes import HeldBytes, Hold
from sidecar.serving.http.hosts import host_is_served
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.http.off_loop import off_loop, values_in
from sidecar.serving.http.response_compression import compressed
from sidecar.serving.http.traced_app import tell_route
from sidecar.serving.proxy import msearch_handler, search_handler
from sidecar.serving.proxy.forward import Forwarder, refuse, upstream_failed
from sidecar.serving.proxy.node_addresses import address_in, tells_addresses, with_address
from sidecar.serving.proxy.rerank_options import UNDECIDED, ParsedSearch, RerankOptions, parse_search
from sidecar.serving.proxy.routes import Kind, Route, route
from sidecar.serving.proxy.rules import Arm, Rule, rule_for
from sidecar.serving.proxy.search_handler import error_status, outcome_headers, server_timing
from sidecar.serving.proxy.search_request import (
    NotRead,
    SearchCall,
    forwarded_template,
    read_search,
    rendered,
    unwritable,
)
from sidecar.serving.proxy.shadow_rerankings import Shadows
from sidecar.serving.proxy.upstream import AnswerTooLarge, UpstreamDown, UpstreamSlow
from sidecar.serving.scorer.service import Outcome, RerankingService, Status

_log = logging.getLogger("sidecar.opensearch")


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """The operator's settings: defaults of a reranking, rules, and limits."""

    defaults: RerankOptions
    models: Sequence[str]
    rules: Sequence[Rule] = ()
    max_concurrent: int = 64
    max_values: int = 100_000
    allowed_hosts: frozenset[str] = frozenset()
    advertised_address: str = "auto"


class ProxyApp:
    """An ASGI application. `ours` answers paths under `/_sidecar`; `enabled` switches all reranking on and off."""

    def __init__(
        self,
        proxy: Forwarder,
        service: RerankingService,
        options: ProxyOptions,
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
        self.shadows = Shadows(proxy.upstream, service, metrics, self.held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; errors of ours have OpenSearch's shape."""
        exchange = Exchange.of(scope, receive, send)
        found = route(exchange.method, exchange.raw_path)
        tell_route(exchange.method, found.template)
        outcome = None
        try:
            if not self._host_is_allowed(exchange):
                await refuse(exchange, 403, "this host name is not served here")
            elif found.kind is Kind.OURS:
                await self.ours(exchange)
            elif found.kind is not Kind.OTHER:
                outcome = await self._search(exchange, found)
            elif (address := self._address_to_tell(exchange)) is not None:
                await self.proxy.pass_on_changed(exchange, partial(with_address, address=address))
            else:
                await self.proxy.pass_on(exchange)
        except request_body.ClientLeft:
            pass
        except request_body.BodyTooSlow:
            await refuse(exchange, 408, "the request's body did not arrive in time")
        except (UpstreamDown, UpstreamSlow) as failure:
            await upstream_failed(exchange, failure)
        except AnswerTooLarge as failure:
            await refuse(exchange, 502, str(failure))
        finally:
            self._metrics.request("opensearch", found.kind.value, exchange, outcome)
            log_access("opensearch", found.kind.value, exchange, outcome)
            if outcome is not None:
                tell(outcome.traced)

    def _host_is_allowed(self, exchange: Exchange) -> bool:
        # A probe of a container knows its address alone.
        is_probe = exchange.raw_path.startswith(b"/_sidecar/health/")
        return is_probe or host_is_served(exchange, self.options.allowed_hosts)

    def _address_to_tell(self, exchange: Exchange) -> str | None:
        """Return the address to tell a client that asks for the nodes; None for every other request."""
        address = self.options.advertised_address
        if address == "off" or not tells_addresses(exchange.method, exchange.raw_path):
            return None
        return address_in(exchange.header(b"host"), exchange.scheme) if address == "auto" else address

    async def _search(self, exchange: Exchange, found: Route) -> Outcome | None:
        """Rerank a search if it requests that, or a rule does; None if nobody does."""
        with self.held.hold(self.proxy.peer_of(exchange)) as hold:
            return await self._search_within(exchange, found, hold)

    async def _search_within(self, exchange: Exchange, found: Route, hold: Hold) -> Outcome | None:
        body = request_body.Body(exchange.receive, self.proxy.body_limits, hold)
        call = None
        try:
            call = await read_search(exchange, found, body, self.proxy, hold)
            call = await self._out_of_template(exchange, call)
            parsed = await off_loop(len(call.body.raw), self._parsed, call)
        except NotRead as reason:
            return await self._pass_unranked(exchange, body, reason.why, call)
        except SidecarError as error:
            await refuse(exchange, 400, error.message)
            return None
        if parsed is None:
            await self.proxy.pass_on(exchange, body)
            return None
        declined = self.not_now()
        why = unwritable(exchange) or parsed.left_out or (None if parsed.requested else declined)
        if why is not None:
            return await self._pass_unranked(exchange, body, why, parsed=parsed)
        options = parsed.options
        if options is None or parsed.arm is not Arm.SHADOW:
            return await self._rerank_safely(exchange, body, call, parsed, declined)
        await self._pass_unranked(exchange, body, Why(Reason.SHADOW, "the rule only shadows"), parsed=parsed)
        self.shadows.start(call, options)
        return None

    def _decide(self, index: str, body: SearchBody, url: str = "") -> ParsedSearch:
        """Decide on a search. Raises `InputError` or `FusionError` for an `ext.rerank` that can't be followed."""
        own = self.options
        known = self.service.calibrated
        return parse_search(index, body, own.rules, own.defaults, own.models, url=url, calibrated=known)

    def _parsed(self, call: SearchCall) -> ParsedSearch | None:
        """Parse a call and decide on it; None if nobody requests reranking. Raises as `_decide`, and `NotRead`."""
        parsed: ParsedSearch | None = None
        if call.kind is Kind.MSEARCH:
            parsed = msearch_handler.parse_searches(call, self._decide)
        elif call.kind is Kind.SEARCH:
            decided = self._decide(call.index, call.body, call.query)
            parsed = decided if decided.concerns_us else None
        if parsed is not None and values_in(call.body.raw) > self.options.max_values:
            raise NotRead(Reason.BODY_TOO_LARGE, f"the body has more than {self.options.max_values} values")
        return parsed

    async def _out_of_template(self, exchange: Exchange, call: SearchCall) -> SearchCall:
        """Return the search that a template renders to, if it or a rule may request reranking. Raises `NotRead`."""
        if call.kind not in {Kind.TEMPLATE, Kind.MSEARCH_TEMPLATE}:
            return call
        stored = call.kind is Kind.TEMPLATE and b'"id"' in call.body.raw
        if b"rerank" not in call.body.raw and not stored and rule_for(self.options.rules, call.index) is None:
            return call
        why = unwritable(exchange)
        if why is None and call.kind is Kind.MSEARCH_TEMPLATE:
            why = Why(Reason.TEMPLATE, "templates in an _msearch are not reranked")
        if why is not None:
            raise NotRead(why.reason, why)
        return await rendered(call, self.proxy.upstream)

    def not_now(self) -> Why | None:
        """Say why nothing is reranked at the moment; None if it is."""
        if not self.enabled:
            return Why(Reason.SWITCHED_OFF, "reranking is switched off")
        busy = self.in_flight + len(self.shadows)
        if busy >= self.options.max_concurrent:
            return Why(Reason.OVERLOADED, f"overloaded: {busy} searches are being reranked")
        return None

    async def _pass_unranked(
        self,
        exchange: Exchange,
        body: request_body.Body,
        why: Why,
        call: SearchCall | None = None,
        parsed: ParsedSearch = UNDECIDED,
    ) -> Outcome:
        """Pass a request through, and say why it is not reranked; without `ext.rerank` if the `call` is given."""
        status = Status.FAILED if why.reason is Reason.INTERNAL_ERROR else Status.SKIPPED
        model = parsed.options.model if parsed.options else ""
        outcome = Outcome(status, why, model=model, rule=parsed.rule.index if parsed.rule else "")
        instead = None
        if call is not None and unwritable(exchange) is None:
            kept = await off_loop(len(call.body.raw), _forwarded, call)
            instead = call.with_body(kept) if kept != call.body.raw else None
        await self.proxy.pass_on(exchange, body, extra=outcome_headers(outcome, parsed.decided_by), instead=instead)
        return outcome

    async def _rerank_safely(
        self, exchange: Exchange, body: request_body.Body, call: SearchCall, parsed: ParsedSearch, declined: Why | None
    ) -> Outcome:
        """Rerank; on a fault of the sidecar's own answer with the caller's own search."""
        try:
            return await self._rerank(exchange, call, parsed, declined)
        except (UpstreamDown, UpstreamSlow, request_body.ClientLeft):
            raise
        except AnswerTooLarge as too_large:
            why = Why(Reason.ANSWER_TOO_LARGE, str(too_large))
        except Exception:
            if exchange.answered:
                raise
            _log.exception("a fault of ours")
            why = Why(Reason.INTERNAL_ERROR, "a fault of the sidecar's, see its log")
        return await self._pass_unranked(exchange, body, why, call, parsed)

    async def _rerank(
        self, exchange: Exchange, call: SearchCall, parsed: ParsedSearch, declined: Why | None
    ) -> Outcome:
        """Answer a search, or several searches, each with its own options; as it came if it is `declined`."""
        upstream, service, started, options = self.proxy.upstream, self.service, exchange.started, parsed.options
        if options is not None:
            tell({"rerank.window": options.window})
        self.in_flight += 1
        try:
            if options is None:
                work = msearch_handler.answer(call, parsed.searches, upstream, service, started, declined=declined)
            else:
                work = search_handler.answer(call, options, upstream, service, started, declined=declined)
            answered = await request_body.unless_left(exchange.receive, work)
        finally:
            self.in_flight -= 1
        outcome = answered.outcome
        said = outcome_headers(outcome, parsed.decided_by)
        if options is not None and outcome.status is Status.FAILED and options.on_failure == "error":
            status, extra = error_status(outcome)
            await refuse(exchange, status, f"reranking failed: {outcome.words}", [*said, *extra])
            return outcome
        headers, body = await compressed(answered.headers, answered.body, exchange.header(b"accept-encoding"))
        timing = server_timing(answered, exchange.elapsed)
        await exchange.answer(answered.status, [*headers, *said, timing], body)
        return outcome


def _forwarded(call: SearchCall) -> bytes:
    """Write a call's body without `ext.rerank`."""
    if call.kind is Kind.SEARCH:
        return call.body.forwarded
    if call.kind is Kind.TEMPLATE:
        return forwarded_template(call.body)
    return msearch_handler.forwarded(call)


async def _nothing(exchange: Exchange) -> None:
    await refuse(exchange, 404, "there is nothing here")
