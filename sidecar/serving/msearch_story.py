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
from sidecar.reasons import Reason, Why
from sidecar.serving.asked import Terms
from sidecar.serving.headers import without
from sidecar.serving.opensearch_errors import error_body
from sidecar.serving.search_story import (
    REFUSED,
    Answered,
    Line,
    Search,
    account,
    exceptions,
    of,
    ranking_for,
    rerank,
)
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
        return upstream.cluster.begin(
            index, one.body, {}, window=terms.window, fields=terms.fields, caller=line.account, hydrate="page"
        )

    try:
        found = await drive_async(msearch.conversation(search.body, line.params, begin), line.send)
    except EngineRejected as refused:
        return Answered(refused.status, line.reply.headers, refused.body, REFUSED)
    headers = without(line.reply.headers, b"content-length")
    fetched = time.perf_counter() - started
    if found.whole is not None:
        return Answered(line.reply.status, headers, found.whole, Outcome(Status.SKIPPED, found.skipped))
    caller = search.caller.key(proved=upstream.checks_accounts)
    outcomes = await asyncio.gather(
        *(_outcome(stage, terms, service, started, caller) for stage, terms in zip(found.stages, chosen, strict=True))
    )
    rankings = [
        ranking_for(stage, outcome) if outcome is not None and not isinstance(stage, EngineRejected) else None
        for stage, outcome in zip(found.stages, outcomes, strict=True)
    ]
    try:
        bodies = await drive_async(msearch.finish(found, rankings), line.send)
    except EngineRejected as refused:
        return Answered(refused.status, line.reply.headers, refused.body, REFUSED)
    took = int((time.perf_counter() - started) * 1000)
    timed = replace(found, top={**(found.top or {}), "took": msgspec.Raw(b"%d" % took)})
    told = [_told(*one, service) for one in zip(bodies, found.stages, chosen, outcomes, strict=True)]
    summary = _summary([outcome for outcome in outcomes if outcome is not None])
    return Answered(line.reply.status, headers, msearch.joined(timed, told), summary, {"fetch": fetched})


async def _outcome(
    stage: FirstStage[Native] | EngineRejected,
    chosen: Terms | None,
    service: RerankingService,
    started: float,
    caller: str,
) -> Outcome | None:
    """What becomes of one search; None if nobody asked for anything."""
    if chosen is None:
        return None
    if isinstance(stage, EngineRejected):
        return of(chosen, REFUSED)
    return await rerank(stage, chosen, service, chosen.seconds - (time.perf_counter() - started), caller)


def _told(
    body: bytes,
    stage: FirstStage[Native] | EngineRejected,
    chosen: Terms | None,
    outcome: Outcome | None,
    service: RerankingService,
) -> bytes:
    """One search's response, with what became of it."""
    if chosen is None or outcome is None or isinstance(stage, EngineRejected):
        return body
    if outcome.status is Status.FAILED and chosen.on_failure == "error":
        return error_body(503, f"reranking failed: {outcome.words}")
    said = account(outcome, chosen, stage, service.mapping(chosen.model)) or {
        "account": {"status": outcome.status.value, "reason": outcome.words, **exceptions(stage, chosen)}
    }
    return annotated(body, took=None, **said)


def _summary(outcomes: list[Outcome]) -> Outcome:
    """What became of all of them together: applied where all were, else how many came to what."""
    if not outcomes:
        return Outcome(
            Status.SKIPPED, Why(Reason.MALFORMED, "no search asks for what can be done; each response says why")
        )
    counts = Counter(outcome.status for outcome in outcomes)
    if len(counts) == 1:
        return Outcome(outcomes[0].status, outcomes[0].reason, each=outcomes)
    words = ", ".join(f"{count} {status.value}" for status, count in sorted(counts.items()))
    return Outcome(Status.PARTIAL, Why(Reason.PARTLY_SCORED, words), each=outcomes)


def _chosen(one: msearch.Search, index: str, choose: Choose) -> Terms | None:
    chosen = choose(msearch.index_in(one.header) or index, one.body)
    # A shadow is seen by nobody, and of several searches in one request none is made.
    return None if chosen is None or chosen.shadow else chosen


def _as_it_came(body: bytes) -> Conversation:
    return skipped((yield Ask(body, {})), Why(Reason.NOT_ASKED, "nobody asked for it"))


def _refused(error: SidecarError) -> Conversation:
    raise EngineRejected(error.message, status=400, body=error_body(400, error.message))
    yield Ask(b"", {})  # what makes it a conversation
