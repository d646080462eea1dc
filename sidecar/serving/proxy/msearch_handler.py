"""Answers several searches in one request (`_msearch`): each has its own options, outcome and response."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.msearch_flow import SubSearch
from connectors.opensearch.flow.search_flow import NativeResponse, OpenSearchRequest, SearchFlow, skipped
from connectors.opensearch.respond.additions import NO_ADDITIONS, Additions
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.candidates import FirstStage
from sidecar.core.errors import EngineRejected, SidecarError
from sidecar.core.reasons import Reason, Why
from sidecar.serving.http.errors import error_body
from sidecar.serving.http.headers import without
from sidecar.serving.http.off_loop import off_loop
from sidecar.serving.proxy.driving import FlowDriver
from sidecar.serving.proxy.page_spans import spans_added
from sidecar.serving.proxy.rerank_options import ParsedSearch
from sidecar.serving.proxy.routes import Kind
from sidecar.serving.proxy.rules import Arm
from sidecar.serving.proxy.search_handler import (
    REFUSED,
    SearchAnswer,
    cut_of,
    error_status,
    exceptions,
    explanation_of,
    labelled,
    ranking_for,
    rerank,
    stage_of,
)
from sidecar.serving.proxy.search_request import SearchCall, forwarded_template
from sidecar.serving.proxy.upstream import Upstream
from sidecar.serving.scorer.service import Outcome, RerankingService, Status

# Decides on one search, by its index expression and its body. Raises a `SidecarError` for what can't be followed.
Decide = Callable[[str, SearchBody], ParsedSearch]
# The first stage of a search, or OpenSearch's rejection of it.
Stage = FirstStage[NativeResponse] | EngineRejected


def parse_searches(call: SearchCall, decide: Decide) -> ParsedSearch | None:
    """Parse each search and decide on it; None if none requests reranking, and no rule does."""
    try:
        found = msearch_flow.searches(call.body.raw)
    except raw_json.Malformed:
        return None  # OpenSearch will say what is wrong with it
    each = tuple(_parsed(one, call.index, decide) for one in found)
    if not any(one.concerns_us or one.refused for one in each):
        return None
    return ParsedSearch(requested=any(one.requested or one.refused for one in each), searches=each)


def _parsed(one: SubSearch, index: str, decide: Decide) -> ParsedSearch:
    index = msearch_flow.index_in(one.header) or index
    try:
        made = decide(index, one.body)
    except SidecarError as error:
        return ParsedSearch(index, one.body, refused=error, header=one.header)
    # A shadow is seen by nobody, and of several searches in one request none is made.
    return replace(ParsedSearch(index, one.body) if made.arm is Arm.SHADOW else made, header=one.header)


def forwarded(call: SearchCall) -> bytes:
    """Write the searches without `ext.rerank`, to be sent if none of them is reranked."""
    try:
        found = msearch_flow.searches(call.body.raw)
    except raw_json.Malformed:
        return call.body.raw
    templates = call.kind is Kind.MSEARCH_TEMPLATE
    return msearch_flow.lines(
        (one.header, forwarded_template(one.body) if templates else one.body.forwarded) for one in found
    )


async def answer(  # noqa: PLR0913  each comes from somewhere else
    call: SearchCall,
    searches: tuple[ParsedSearch, ...],
    upstream: Upstream,
    service: RerankingService,
    started: float,
    *,
    declined: Why | None = None,
) -> SearchAnswer:
    """Answer them all; the budget of each runs from `started`. Raises `UpstreamDown` or `UpstreamSlow`.

    With `declined` none is reranked, for that reason.
    """
    driver = FlowDriver(call, upstream)
    windows, most, flows = 0, service.scorers.most_waiting, []
    for one in searches:
        windows += 0 if one.options is None else one.options.window
        too_many = one.options is not None and windows > most
        flows.append(_overloaded(one.body, most) if too_many else _flow(one, driver.caller, upstream, declined))
    each = [SubSearch(one.header, one.body) for one in searches]
    try:
        found = await driver.drive(msearch_flow.searches_flow(each, driver.params, flows))
    except EngineRejected as refused:
        return SearchAnswer(refused.status, driver.reply.headers, refused.body, REFUSED)
    headers = without(driver.reply.headers, b"content-length")
    fetched = time.perf_counter() - started
    if found.whole is not None:
        return SearchAnswer(driver.reply.status, headers, found.whole, Outcome(Status.SKIPPED, found.skipped))
    caller = call.caller.key(proved=upstream.checks_accounts)
    outcomes = await _one_by_one(
        _outcome(stage, one, service, started, caller) for stage, one in zip(found.stages, searches, strict=True)
    )
    reranked = list(zip(found.stages, searches, outcomes, strict=True))
    rankings = [
        ranking_for(stage, outcome) if outcome is not None and not isinstance(stage, EngineRejected) else None
        for stage, _, outcome in reranked
    ]

    def additions() -> list[Additions]:
        return [_additions(stage, one, outcome) for stage, one, outcome in reranked]

    try:
        added = await off_loop(len(call.body.raw), additions)
        bodies = await driver.drive(msearch_flow.finish(found, rankings, added))
    except EngineRejected as refused:
        return SearchAnswer(refused.status, driver.reply.headers, refused.body, REFUSED)
    bodies = [_failure(one, outcome) or body for body, one, outcome in zip(bodies, searches, outcomes, strict=True)]
    took = int((time.perf_counter() - started) * 1000)
    timed = replace(found, top={**(found.top or {}), "took": msgspec.Raw(b"%d" % took)})
    body = await off_loop(len(call.body.raw), msearch_flow.joined, timed, bodies)
    summary = _summary([outcome for outcome in outcomes if outcome is not None])
    return SearchAnswer(driver.reply.status, headers, body, summary, {"fetch": fetched})


def _flow(one: ParsedSearch, caller: bytes, upstream: Upstream, declined: Why | None) -> SearchFlow:
    """Start the flow of one search."""
    if one.refused is not None:
        return _refused(one.refused)
    if one.options is None:
        return _as_it_came(one)
    return upstream.cluster.search(
        one.index or None,
        one.body,
        {},
        window=one.options.window,
        fields=one.options.fields,
        caller=caller,
        fetch_phase="page",
        declined=declined,
    )


async def _one_by_one(work: Iterable[Coroutine[Any, Any, Outcome | None]]) -> list[Outcome | None]:
    """Begin them one after the other, with a turn for other requests after each, and wait for all of them."""
    async with asyncio.TaskGroup() as group:
        tasks = []
        for one in work:
            tasks.append(group.create_task(one))
            await asyncio.sleep(0)
    return [task.result() for task in tasks]


async def _outcome(
    stage: Stage, one: ParsedSearch, service: RerankingService, started: float, caller: str
) -> Outcome | None:
    """Rerank one search; None if nobody requests it."""
    if not one.concerns_us:
        return None
    options = one.options
    if isinstance(stage, EngineRejected):
        return REFUSED if options is None else labelled(options, REFUSED)
    if options is None:
        return Outcome(Status.SKIPPED, one.left_out)
    return await rerank(stage, options, service, options.seconds - (time.perf_counter() - started), caller)


def _additions(stage: Stage, one: ParsedSearch, outcome: Outcome | None) -> Additions:
    """Return what one search's response tells about its reranking."""
    if outcome is None or isinstance(stage, EngineRejected):
        return NO_ADDITIONS
    said: dict[str, Any] = {"status": outcome.status.value, "reason": outcome.words}
    rule = {"rule": one.decided_by} if one.rule else {}
    if one.options is None:
        return Additions(rerank=said | rule)
    if one.options.explain:
        return explanation_of(outcome, one.options, stage)
    said |= cut_of(outcome) | stage_of(outcome) | exceptions(stage, one.options) | rule
    if one.options.spans is None:
        return Additions(rerank=said)
    return spans_added(outcome, one.options.spans, stage, said)


def _failure(one: ParsedSearch, outcome: Outcome | None) -> bytes | None:
    """Write the error that the caller wants instead of the first stage's order, if reranking failed."""
    options = one.options
    if outcome is None or options is None or outcome.status is not Status.FAILED or options.on_failure != "error":
        return None
    status, _ = error_status(outcome)
    return error_body(status, f"reranking failed: {outcome.words}")


def _summary(outcomes: list[Outcome]) -> Outcome:
    """Sum up all outcomes: applied where all were, else how many came to what."""
    if not outcomes:
        return Outcome(
            Status.SKIPPED, Why(Reason.MALFORMED, "no search asks for what can be done; each response says why")
        )
    counts = Counter(outcome.status for outcome in outcomes)
    if len(counts) == 1:
        return Outcome(outcomes[0].status, outcomes[0].reason, each=outcomes)
    words = ", ".join(f"{count} {status.value}" for status, count in sorted(counts.items()))
    return Outcome(Status.PARTIAL, Why(Reason.PARTLY_SCORED, words), each=outcomes)


def _as_it_came(one: ParsedSearch) -> SearchFlow:
    reason = one.left_out or Why(Reason.NOT_ASKED, "nobody asked for it")
    return skipped((yield OpenSearchRequest(one.body.raw, {})), reason)


def _overloaded(body: SearchBody, most: int) -> SearchFlow:
    words = f"the windows of the searches before it hold the {most} passages that may wait"
    return skipped((yield OpenSearchRequest(body.forwarded, {})), Why(Reason.OVERLOADED, words))


def _refused(error: SidecarError) -> SearchFlow:
    raise EngineRejected(error.message, status=400, body=error_body(400, error.message))
    yield OpenSearchRequest(b"", {})  # what makes it a generator
