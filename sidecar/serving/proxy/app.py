"""The face that OpenSearch's clients see: searches that ask for it are reranked, all else passes through unchanged."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from connectors.opensearch.rewrite.ext import without_our_ext
from sidecar.core.errors import SidecarError
from sidecar.core.reasons import Reason, Why
from sidecar.serving.http import request_body
from sidecar.serving.http.access_log import log_access
from sidecar.serving.http.asgi import Exchange, Receive, Scope, Send
from sidecar.serving.http.held_bytes import HeldBytes, Hold
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.http.off_loop import off_loop, values_in
from sidecar.serving.http.response_compression import compressed
from sidecar.serving.proxy import msearch_handler, search_handler
from sidecar.serving.proxy.forward import Forwarder, refuse, upstream_failed
from sidecar.serving.proxy.node_addresses import address_in, tells_addresses, with_address
from sidecar.serving.proxy.outcome_headers import outcome_headers, server_timing
from sidecar.serving.proxy.rerank_options import UNDECIDED, Decision, RerankOptions, decide
from sidecar.serving.proxy.routes import Kind, Route, route
from sidecar.serving.proxy.rules import Arm, Rule, rule_for
from sidecar.serving.proxy.search_request import (
    NotRead,
    SearchCall,
    read_search,
    rendered,
    template_without_our_ext,
    unwritable,
)
from sidecar.serving.proxy.shadow_rerankings import Shadows
from sidecar.serving.proxy.upstream import AnswerTooLarge, UpstreamDown, UpstreamSlow
from sidecar.serving.scorer.service import Outcome, RerankingService, Status

_log = logging.getLogger("sidecar.opensearch")


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """The operator's decisions: defaults of a reranking, rules, and limits."""

    defaults: RerankOptions
    models: Sequence[str]
    rules: Sequence[Rule] = ()
    max_concurrent: int = 64
    max_values: int = 100_000
    allowed_hosts: frozenset[str] = frozenset()
    advertised_address: str = "auto"


class ProxyApp:
    """An ASGI application. `ours` answers what lies under `/_sidecar`; `enabled` is the switch of all reranking."""

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
        outcome = None
        try:
            if not self._host_is_allowed(exchange):
                await refuse(exchange, 403, "this host name is not served here")
            elif found.kind is Kind.OURS:
                await self.ours(exchange)
            elif (address := self._address_to_tell(exchange)) is not None:
                await self.proxy.pass_on_changed(exchange, partial(with_address, address=address))
            elif found.kind is Kind.OTHER:
                await self.proxy.pass_on(exchange)
            else:
                outcome = await self._search(exchange, found)
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

    def _host_is_allowed(self, exchange: Exchange) -> bool:
        allowed = self.options.allowed_hosts
        if exchange.raw_path.startswith(b"/_sidecar/health/"):
            return True  # whoever probes a container knows its address alone
        host = exchange.header(b"host").decode("latin-1")
        return not allowed or host in allowed or host.rpartition(":")[0] in allowed

    def _address_to_tell(self, exchange: Exchange) -> str | None:
        """Return the address to tell a client that asks for the nodes; None for every other request."""
        told = self.options.advertised_address
        if told == "off" or not tells_addresses(exchange.method, exchange.raw_path):
            return None
        return address_in(exchange.header(b"host"), exchange.scheme) if told == "auto" else told

    async def _search(self, exchange: Exchange, found: Route) -> Outcome | None:
        """Rerank a search if it asks for it, or a rule does; None if nobody does."""
        with self.held.hold(self.proxy.peer_of(exchange)) as hold:
            return await self._search_within(exchange, found, hold)

    async def _search_within(self, exchange: Exchange, found: Route, hold: Hold) -> Outcome | None:
        body = request_body.Body(exchange.receive, self.proxy.body_limits, hold)
        search = None
        try:
            search = await read_search(exchange, found, body, self.proxy, hold)
            search = await self._out_of_template(exchange, search)
            decision = await off_loop(len(search.body), self._decision, search)
        except NotRead as reason:
            return await self._pass_unranked(exchange, body, reason.why, search)
        except SidecarError as error:
            await refuse(exchange, 400, error.message)
            return None
        if decision is None:
            await self.proxy.pass_on(exchange, body)
            return None
        declined = self._not_now()
        why = unwritable(exchange) or decision.left_out or (None if decision.asked else declined)
        if why is not None:
            return await self._pass_unranked(exchange, body, why, decision=decision)
        chosen = decision.terms
        if chosen is None or decision.arm is not Arm.SHADOW:
            return await self._rerank_safely(exchange, body, search, decision, declined)
        await self._pass_unranked(exchange, body, Why(Reason.SHADOW, "the rule only shadows"), decision=decision)
        self.shadows.start(search, chosen)
        return None

    def _decide(self, index: str, body: bytes) -> Decision:
        """Decide on a search. Raises `InputError` or `FusionError` for what can't be."""
        return decide(index, body, self.options.rules, self.options.defaults, self.options.models)

    def _decision(self, search: SearchCall) -> Decision | None:
        """Decide on a request, None if it does not concern us. Raises as `_decide`, and `NotRead`."""
        found: Decision | None = None
        if search.kind is Kind.MSEARCH:
            found = msearch_handler.decision(search, self._decide)
        elif search.kind is Kind.SEARCH:
            decided = self._decide(search.index, search.body)
            found = decided if decided.concerns_us else None
        if found is not None and values_in(search.body) > self.options.max_values:
            raise NotRead(Reason.BODY_TOO_LARGE, f"the body has more than {self.options.max_values} values")
        return found

    async def _out_of_template(self, exchange: Exchange, search: SearchCall) -> SearchCall:
        """Return the search that a template renders to, if it may ask for reranking or a rule may. Raises `NotRead`."""
        if search.kind not in {Kind.TEMPLATE, Kind.MSEARCH_TEMPLATE}:
            return search
        stored = search.kind is Kind.TEMPLATE and b'"id"' in search.body
        if b"rerank" not in search.body and not stored and rule_for(self.options.rules, search.index) is None:
            return search
        why = unwritable(exchange)
        if why is None and search.kind is Kind.MSEARCH_TEMPLATE:
            why = Why(Reason.TEMPLATE, "templates in an _msearch are not reranked")
        if why is not None:
            raise NotRead(why.reason, why)
        return await rendered(search, self.proxy.upstream)

    def _not_now(self) -> Why | None:
        """Why nothing is reranked at the moment."""
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
        search: SearchCall | None = None,
        decision: Decision = UNDECIDED,
    ) -> Outcome:
        """Pass a request through, and say why it is not reranked; less our `ext`, where the `search` in it is given."""
        status = Status.FAILED if why.reason is Reason.INTERNAL_ERROR else Status.SKIPPED
        model = decision.terms.model if decision.terms else ""
        outcome = Outcome(status, why, model=model, rule=decision.rule.index if decision.rule else "")
        instead = None
        if search is not None and unwritable(exchange) is None:
            kept = await off_loop(len(search.body), _without_our_ext, search)
            instead = search.with_body(kept) if kept != search.body else None
        await self.proxy.pass_on(exchange, body, extra=outcome_headers(outcome, decision.said_rule), instead=instead)
        return outcome

    async def _rerank_safely(
        self, exchange: Exchange, body: request_body.Body, search: SearchCall, decision: Decision, declined: Why | None
    ) -> Outcome:
        """Answer with the caller's own search where we have a fault of our own."""
        try:
            return await self._rerank(exchange, search, decision, declined)
        except (UpstreamDown, UpstreamSlow, request_body.ClientLeft):
            raise
        except AnswerTooLarge as too_large:
            why = Why(Reason.ANSWER_TOO_LARGE, str(too_large))
        except Exception:
            if exchange.answered:
                raise
            _log.exception("a fault of ours")
            why = Why(Reason.INTERNAL_ERROR, "a fault of the sidecar's, see its log")
        return await self._pass_unranked(exchange, body, why, search, decision)

    async def _rerank(
        self, exchange: Exchange, search: SearchCall, decision: Decision, declined: Why | None
    ) -> Outcome:
        """Answer a search by its terms, or several searches, which have their own; as it came if it is `declined`."""
        upstream, service, started, chosen = self.proxy.upstream, self.service, exchange.started, decision.terms
        self.in_flight += 1
        try:
            if chosen is None:
                story = msearch_handler.answer(search, self._decide, upstream, service, started, declined=declined)
            else:
                story = search_handler.answer(search, chosen, upstream, service, started, declined=declined)
            answered = await request_body.unless_left(exchange.receive, story)
        finally:
            self.in_flight -= 1
        outcome = answered.outcome
        said = outcome_headers(outcome, decision.said_rule)
        if chosen is not None and outcome.status is Status.FAILED and chosen.on_failure == "error":
            await refuse(exchange, 503, f"reranking failed: {outcome.words}", said)
            return outcome
        headers, body = await compressed(answered.headers, answered.body, exchange.header(b"accept-encoding"))
        timing = server_timing(answered, exchange.elapsed)
        await exchange.answer(answered.status, [*headers, *said, timing], body)
        return outcome


def _without_our_ext(search: SearchCall) -> bytes:
    if search.kind is Kind.SEARCH:
        return without_our_ext(search.body)
    if search.kind is Kind.TEMPLATE:
        return template_without_our_ext(search.body)
    return msearch_handler.without_our_ext(search)


async def _nothing(exchange: Exchange) -> None:
    await refuse(exchange, 404, "there is nothing here")
