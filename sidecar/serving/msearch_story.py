"""Several searches in one request (`_msearch`) through the proxy: each has its own terms, outcome and response."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import msgspec

from connectors.opensearch import msearch, splice
from connectors.opensearch.annotate import annotated
from connectors.opensearch.conversation import Ask, Conversation, Native, drive_async, skipped
from sidecar.candidates import FirstStage
from sidecar.errors import EngineRejected, SidecarError
from sidecar.serving.asked import Terms
from sidecar.serving.headers import without
from sidecar.serving.opensearch_errors import error_body
from sidecar.serving.search_story import REFUSED, Answered, Line, Search, account, rerank, respond
from sidecar.serving.service import Outcome, RerankingService, Status
from sidecar.serving.upstream import Upstream

# How to rerank one search, by the index expression of its header line and its body; None if nobody asks for it.
Choose = Callable[[str, bytes], Terms | None]


def anybody_asks(search: Search, choose: Choose) -> bool:
    """Whether one of the searches is to be reranked, or asks for it in a way that can't be."""
    try:
        return any(_chosen(one, search.index, choose) is not None for one in msearch.searches(search.body))
    except splice.Malformed:
        return False  # OpenSearch will say what is wrong with it
    except SidecarError:
        return True


async def answer(
    search: Search, choose: Choose, upstream: Upstream, service: RerankingService, started: float
) -> Answered:
    """Answer them all; the budget of each runs from `started`. Raises `UpstreamDown` or `UpstreamSlow`."""
    line = Line(search, upstream)
    chosen: list[Terms | None] = []

    def begin(one: msearch.Search) -> Conversation:
        terms = None
        try:
            terms = _chosen(one, search.index, choose)
        except SidecarError as error:
            return _refused(error)
        finally:
            chosen.append(terms)
        if terms is None:
            return _as_it_came(one.body)
        index = msearch.index_in(one.header) or search.index or None
        return upstream.cluster.begin(index, one.body, {}, window=terms.window, fields=terms.fields)

    try:
        found = await drive_async(msearch.conversation(search.body, line.params, begin), line.send)
    except EngineRejected:
        return Answered(line.reply.status, line.reply.headers, line.reply.body, REFUSED)
    headers = without(line.reply.headers, b"content-length")
    fetched = time.perf_counter() - started
    if found.whole is not None:
        return Answered(line.reply.status, headers, found.whole, Outcome(Status.SKIPPED, found.skipped or ""))
    answered = await asyncio.gather(
        *(_one(stage, terms, service, started) for stage, terms in zip(found.stages, chosen, strict=True))
    )
    took = int((time.perf_counter() - started) * 1000)
    timed = replace(found, top={**(found.top or {}), "took": msgspec.Raw(b"%d" % took)})
    body = msearch.joined(timed, [body for body, _ in answered])
    outcomes = [outcome for _, outcome in answered if outcome is not None]
    return Answered(line.reply.status, headers, body, _summary(outcomes), {"fetch": fetched})


async def _one(
    stage: FirstStage[Native] | EngineRejected, chosen: Terms | None, service: RerankingService, started: float
) -> tuple[bytes, Outcome | None]:
    """One search's response, and what became of it if it was to be reranked."""
    if isinstance(stage, EngineRejected):
        return stage.body, REFUSED if chosen else None
    if chosen is None:
        return stage.native.raw, None
    outcome = await rerank(stage, chosen, service, chosen.seconds - (time.perf_counter() - started))
    if outcome.status is Status.FAILED and chosen.on_failure == "error":
        return error_body(503, f"reranking failed: {outcome.reason}"), outcome
    told = account(outcome, chosen, stage, service.mapping(chosen.model)) or {
        "account": {"status": outcome.status.value, "reason": outcome.reason}
    }
    return annotated(respond(stage, outcome), took=None, **told), outcome


def _summary(outcomes: list[Outcome]) -> Outcome:
    """What became of all of them together: applied where all were, else how many came to what."""
    counts = Counter(outcome.status for outcome in outcomes)
    if counts.keys() == {Status.APPLIED}:
        return Outcome(Status.APPLIED)
    if len(counts) == 1:
        return Outcome(outcomes[0].status, outcomes[0].reason)
    return Outcome(Status.PARTIAL, ", ".join(f"{count} {status.value}" for status, count in sorted(counts.items())))


def _chosen(one: msearch.Search, index: str, choose: Choose) -> Terms | None:
    return choose(msearch.index_in(one.header) or index, one.body)


def _as_it_came(body: bytes) -> Conversation:
    return skipped((yield Ask(body, {})), "nobody asked for it")


def _refused(error: SidecarError) -> Conversation:
    raise EngineRejected(error.message, status=400, body=error_body(400, error.message))
    yield Ask(b"", {})  # what makes it a conversation
