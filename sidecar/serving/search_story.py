"""One search through the proxy: the conversation with OpenSearch in the caller's name, the reranking, the response."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from connectors.opensearch import response
from connectors.opensearch.annotate import annotated
from connectors.opensearch.conversation import Ask, Native, conversation, proceed
from connectors.opensearch.refusal import refusal
from sidecar.candidates import FirstStage, Ranked, Ranking
from sidecar.errors import EngineRejected
from sidecar.serving.asked import Terms, search_identity
from sidecar.serving.headers import Headers, without
from sidecar.serving.service import Outcome, RerankingService, Status
from sidecar.serving.upstream import Reply, Request, Upstream


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it came: `headers` are those for OpenSearch, `body` is decompressed."""

    method: str
    path: str
    query: str
    headers: Headers
    index: str
    body: bytes

    def original(self) -> Request:
        """The caller's own request."""
        return Request(self.method, f"{self.path}?{self.query}" if self.query else self.path, self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Answered:
    """What goes back to the caller, and what became of the reranking."""

    status: int
    headers: Headers
    body: bytes
    outcome: Outcome
    seconds: dict[str, float] = field(default_factory=dict)


async def answer(
    search: Search, terms: Terms, upstream: Upstream, service: RerankingService, started: float
) -> Answered:
    """Search, rerank within what is left of the budget, and respond. Raises `UpstreamDown` or `UpstreamSlow`.

    `started` is when the request came, by `time.perf_counter`.
    """
    talk = _Talk(search, upstream)
    try:
        first_stage = await talk.hold(terms)
    except EngineRejected:
        return Answered(
            talk.reply.status,
            talk.reply.headers,
            talk.reply.body,
            Outcome(Status.SKIPPED, "OpenSearch refused the search"),
        )
    fetched = time.perf_counter() - started
    outcome = await _rank(first_stage, terms, service, terms.seconds - fetched)
    native = first_stage.native
    body = native.raw
    if native.plan is not None and native.answer is not None:
        # Without a ranking it cuts the caller's page out of the window, order and scores as OpenSearch gave them.
        unranked = Ranking(first_stage.query, (), {})
        body = response.respond(native.answer, native.plan, outcome.ranking or unranked)
    took = int((time.perf_counter() - started) * 1000)
    body = annotated(body, took=took, **_account(outcome, terms, first_stage))
    headers = without(talk.reply.headers, b"content-length")
    return Answered(talk.reply.status, headers, body, outcome, {"fetch": fetched, **outcome.seconds})


async def _rank(first_stage: FirstStage[Native], terms: Terms, service: RerankingService, seconds: float) -> Outcome:
    if first_stage.skipped is not None:
        return Outcome(Status.SKIPPED, first_stage.skipped)
    if not first_stage.candidates:
        return Outcome(Status.SKIPPED, "there are no hits")
    if seconds <= 0:
        return Outcome(Status.FAILED, "the first stage took the whole budget")
    return await service.rank(
        first_stage.query, first_stage.candidates, model=terms.model, fusion=terms.fusion, seconds=seconds
    )


class _Talk:
    """The conversation over HTTP, with the caller's own headers; `reply` is OpenSearch's last answer."""

    def __init__(self, search: Search, upstream: Upstream) -> None:
        self.search = search
        self.upstream = upstream
        self.reply = Reply(500, [], b"")

    async def hold(self, terms: Terms) -> FirstStage[Native]:
        params = dict(parse_qsl(self.search.query, keep_blank_values=True))
        talk = conversation(self.search.body, params, window=terms.window, fields=terms.fields)
        step = proceed(talk)
        while isinstance(step, Ask):
            self.reply = await self.upstream.ask(self._request(step, params))
            fine = 200 <= self.reply.status < 300
            body = self.reply.body
            step = proceed(talk, body if fine else refusal(self.reply.status, body.decode("utf-8", "replace")))
        return step

    def _request(self, ask: Ask, params: Mapping[str, Any]) -> Request:
        query = self.search.query
        if ask.params is not params:
            # One preference for all pages of a search: two replicas may score a hit differently.
            stable = {"preference": search_identity(self.search.index, self.search.body)}
            query = urlencode(stable | dict(ask.params))
        headers = [
            *without(self.search.headers, b"content-length", b"content-encoding", b"accept-encoding"),
            (b"accept-encoding", b"identity"),
        ]
        if not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", b"application/json"))
        target = f"{self.search.path}?{query}" if query else self.search.path
        return Request(self.search.method, target, headers, ask.body, is_read=True)


def _account(outcome: Outcome, terms: Terms, first_stage: FirstStage[Native]) -> dict[str, Any]:
    """What `explain` adds to a response."""
    if not terms.explain:
        return {}
    said: dict[str, Any] = {"status": outcome.status.value, "reason": outcome.reason, "model": terms.model}
    said |= {"query_text": first_stage.query, "window": terms.window, "fusion": terms.fusion.method.value}
    plan = first_stage.native.plan
    if outcome.ranking is None or plan is None:
        return {"account": said}
    page = outcome.ranking.hits[plan.start : plan.start + plan.size]
    return {"account": said, "hits": [_explained(hit) for hit in page]}


def _explained(hit: Ranked) -> dict[str, Any]:
    return {
        "first_stage_rank": hit.candidate.rank,
        "first_stage_score": hit.candidate.score,
        "rerank_score": hit.rerank_score,
        "score": hit.score,
    }


def kept_at_top(ranking: Ranking, depth: int = 10) -> float:
    """The share of the first stage's top that reranking would have kept there."""
    top = ranking.hits[:depth]
    return sum(hit.candidate.rank <= depth for hit in top) / len(top) if top else 1.0
