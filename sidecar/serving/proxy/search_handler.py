"""One search through the proxy: the conversation with OpenSearch in the caller's name, the reranking, the response."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from connectors.opensearch.errors import rejection
from connectors.opensearch.flow.caller import caller_of
from connectors.opensearch.flow.search_flow import NativeResponse, OpenSearchRequest, finish
from connectors.opensearch.respond.explain import explained
from connectors.opensearch.rewrite.url_params import url_params
from sidecar.core.candidates import FirstStage, Ranking, fields_of
from sidecar.core.errors import EngineRejected
from sidecar.core.explanation import Explanation, explain
from sidecar.core.reasons import Reason, Why
from sidecar.scoring.score_mapping import Mapping
from sidecar.serving.http.headers import Headers, without
from sidecar.serving.proxy.driving import drive
from sidecar.serving.proxy.rerank_options import RerankOptions
from sidecar.serving.proxy.routes import Kind
from sidecar.serving.proxy.rules import search_identity
from sidecar.serving.proxy.search_request import SearchCall
from sidecar.serving.proxy.upstream import Reply, Request, Upstream
from sidecar.serving.scorer.service import Outcome, RerankingService, Status

REFUSED = Outcome(Status.SKIPPED, Why(Reason.SEARCH_REFUSED, "OpenSearch refused the search"))


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The answer to the caller, and what became of the reranking."""

    status: int
    headers: Headers
    body: bytes
    outcome: Outcome
    seconds: dict[str, float] = field(default_factory=dict)


async def answer(  # noqa: PLR0913  each comes from somewhere else
    search: SearchCall,
    chosen: RerankOptions,
    upstream: Upstream,
    service: RerankingService,
    started: float,
    *,
    declined: Why | None = None,
) -> SearchAnswer:
    """Search, rerank within what is left of the budget, and respond. Raises `UpstreamDown` or `UpstreamSlow`.

    `started` is when the request came, by `time.perf_counter`. With `declined` nothing is reranked, for that reason.
    """
    line = UpstreamLine(search, upstream)
    try:
        talk = upstream.cluster.begin(
            search.index or None,
            search.body,
            line.params,
            window=chosen.window,
            fields=chosen.fields,
            caller=line.account,
            hydrate="page",
            declined=declined,
        )
        first_stage = await drive(talk, line.send, len(search.body))
        fetched = time.perf_counter() - started
        # OpenSearch has just answered in this caller's name.
        caller = search.caller.key(proved=upstream.checks_accounts)
        outcome = await rerank(first_stage, chosen, service, chosen.seconds - fetched, caller)
        body = await drive(finish(first_stage, ranking_for(first_stage, outcome)), line.send, len(search.body))
    except EngineRejected as refused:
        # Not always the last answer: what was tried after it may have been refused for another reason.
        return SearchAnswer(refused.status, line.reply.headers, refused.body, of(chosen, REFUSED))
    took = int((time.perf_counter() - started) * 1000)
    body = explained(body, took=took, **explanation_of(outcome, chosen, first_stage, service.mapping(chosen.model)))
    headers = without(line.reply.headers, b"content-length") + how_read(first_stage)
    stages = {"fetch": fetched, **outcome.seconds}
    return SearchAnswer(line.reply.status, headers, body, replace(outcome, seconds=stages), stages)


def how_read(first_stage: FirstStage[NativeResponse]) -> Headers:
    """The headers that tell how a window was read: its size, the fields, and what is to be known of these."""
    native = first_stage.native
    if native.plan is None:
        return []
    said = {"window": str(native.plan.window), "fields": ", ".join(fields_of(first_stage.candidates))}
    words = {name: " ".join(value.split())[:300] for name, value in {**said, "warning": native.warning}.items()}
    return [(b"x-rerank-" + name.encode(), value.encode("ascii", "replace")) for name, value in words.items() if value]


def exceptions(first_stage: FirstStage[NativeResponse], chosen: RerankOptions) -> dict[str, Any]:
    """Name what of a search was not as it was asked for: a smaller window, other fields; empty where all was."""
    plan, warning = first_stage.native.plan, first_stage.native.warning
    said: dict[str, Any] = {} if plan is None or plan.window == chosen.window else {"window": plan.window}
    return said | ({"warning": warning} if warning else {})


async def rerank(
    first_stage: FirstStage[NativeResponse],
    chosen: RerankOptions,
    service: RerankingService,
    seconds: float,
    caller: str,
) -> Outcome:
    """Rerank what was fetched, within `seconds`."""
    return of(chosen, await _reranked(first_stage, chosen, service, seconds, caller))


def of(chosen: RerankOptions, outcome: Outcome) -> Outcome:
    """Return an outcome with what it is counted by: its model, and the rule behind it."""
    return replace(outcome, model=chosen.model, rule=chosen.rule)


async def _reranked(
    first_stage: FirstStage[NativeResponse],
    chosen: RerankOptions,
    service: RerankingService,
    seconds: float,
    caller: str,
) -> Outcome:
    if first_stage.skipped is not None:
        return Outcome(Status.SKIPPED, first_stage.skipped)
    if not first_stage.candidates:
        return Outcome(Status.SKIPPED, Why(Reason.NO_HITS, "there are no hits"))
    if seconds <= 0:
        words = "the first stage took the whole budget"
        return Outcome(Status.FAILED, Why(Reason.FIRST_STAGE_TOO_SLOW, words))
    return await service.rank(
        first_stage.query,
        first_stage.candidates,
        model=chosen.model,
        fusion=chosen.fusion,
        seconds=seconds,
        caller=caller,
    )


def ranking_for(first_stage: FirstStage[NativeResponse], outcome: Outcome) -> Ranking:
    """The ranking to cut the caller's page by; one of nothing leaves OpenSearch's order and scores."""
    return outcome.ranking or Ranking(first_stage.query, (), {})


class UpstreamLine:
    """Sends what a conversation asks, with the caller's own headers; `reply` is OpenSearch's last answer.

    `account` is the key of who is known to OpenSearch by these headers.
    """

    def __init__(self, search: SearchCall, upstream: Upstream) -> None:
        self.params: dict[str, Any] = url_params(search.query)
        self.account = caller_of(search.headers)
        self.reply = Reply(500, [], b"")
        self._search = search
        self._upstream = upstream
        self._headers = [
            *without(search.headers, b"content-length", b"content-encoding", b"accept-encoding"),
            (b"accept-encoding", b"identity"),
        ]
        if not any(name == b"content-type" for name, _ in self._headers):
            self._headers.append((b"content-type", b"application/json"))

    async def send(self, ask: OpenSearchRequest) -> bytes:
        """Send one search. Raises `EngineRejected` for an error answer, `UpstreamDown` or `UpstreamSlow`."""
        if ask.path is not None:
            return await self._read(ask.path)
        search, query = self._search, self._search.query
        if ask.params != self.params:
            query = urlencode(ask.params)
        if ask.body != search.body:
            # One preference for all pages of a search: two replicas may score a hit differently.
            stable = {"preference": search_identity(search.index, search.body)}
            query = urlencode(stable | dict(ask.params)) if search.kind is Kind.SEARCH else query
        target = f"{search.path}?{query}" if query else search.path
        request = Request(search.method, target, self._headers, ask.body, is_read=True, peer=search.peer)
        self.reply = await self._upstream.ask(request, search.hold)
        return _fine(self.reply)

    async def _read(self, path: str) -> bytes:
        headers = without(self._headers, b"content-type")
        return _fine(await self._upstream.ask(Request("GET", path, headers, is_read=True, peer=self._search.peer)))


def _fine(reply: Reply) -> bytes:
    """The body of an answer. Raises `EngineRejected` for an error."""
    if not 200 <= reply.status < 300:
        refused = rejection(reply.status, reply.body.decode("utf-8", "replace"))
        refused.body = reply.body
        raise refused
    return reply.body


def explanation_of(
    outcome: Outcome, chosen: RerankOptions, first_stage: FirstStage[NativeResponse], mapping: Mapping
) -> dict[str, Any]:
    """Return the additions of `explain` to a response."""
    if not chosen.explain:
        return {}
    said: dict[str, Any] = {"status": outcome.status.value, "reason": outcome.words, "model": chosen.model}
    said |= {"query_text": first_stage.query, "window": chosen.window, "fusion": chosen.fusion.method.value}
    said |= exceptions(first_stage, chosen)
    plan = first_stage.native.plan
    if outcome.ranking is None or plan is None:
        return {"account": said}
    hits = explain(outcome.ranking, mapping)[plan.start : plan.start + plan.size]
    return {"account": said, "hits": [_without_nothing(hit) for hit in hits]}


def _without_nothing(hit: Explanation) -> dict[str, Any]:
    """Leave out of an account what is not known of a hit, or in it already."""
    said = {name: value for name, value in msgspec.to_builtins(hit).items() if value is not None}
    return {name: value for name, value in said.items() if name not in {"docid", "rank"}}
