"""Several searches in one request (`_msearch`) through the proxy: each has its own terms, outcome and response."""

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
from connectors.opensearch.flow.search_flow import Conversation, NativeResponse, OpenSearchRequest, skipped
from connectors.opensearch.respond.explain import explained
from connectors.opensearch.rewrite import ext
from sidecar.core.candidates import FirstStage
from sidecar.core.errors import EngineRejected, SidecarError
from sidecar.core.reasons import Reason, Why
from sidecar.serving.http.errors import error_body
from sidecar.serving.http.headers import without
from sidecar.serving.http.off_loop import off_loop
from sidecar.serving.proxy.driving import drive
from sidecar.serving.proxy.rerank_options import Decision
from sidecar.serving.proxy.routes import Kind
from sidecar.serving.proxy.rules import Arm
from sidecar.serving.proxy.search_handler import (
    REFUSED,
    SearchAnswer,
    UpstreamLine,
    exceptions,
    explanation_of,
    of,
    ranking_for,
    rerank,
)
from sidecar.serving.proxy.search_request import SearchCall, template_without_our_ext
from sidecar.serving.proxy.upstream import Upstream
from sidecar.serving.scorer.service import Outcome, RerankingService, Status

# What is to become of one search, by the index expression of its header line and its body.
Choose = Callable[[str, bytes], Decision]


def decision(search: SearchCall, choose: Choose) -> Decision | None:
    """Whether one of the searches asks for reranking itself, or a rule does; None if nobody does."""
    try:
        each = [_chosen(one, search.index, choose) for one in msearch_flow.searches(search.body)]
    except raw_json.Malformed:
        return None  # OpenSearch will say what is wrong with it
    except SidecarError:
        return Decision(asked=True)
    if not any(one.concerns_us for one in each):
        return None
    return Decision(asked=any(one.asked for one in each))


def without_our_ext(search: SearchCall) -> bytes:
    """Write the searches as they are to be forwarded where none is reranked."""
    try:
        found = msearch_flow.searches(search.body)
    except raw_json.Malformed:
        return search.body
    take_out = template_without_our_ext if search.kind is Kind.MSEARCH_TEMPLATE else ext.without_our_ext
    return msearch_flow.lines(msearch_flow.SubSearch(one.header, take_out(one.body)) for one in found)


async def answer(  # noqa: PLR0913  each comes from somewhere else
    search: SearchCall,
    choose: Choose,
    upstream: Upstream,
    service: RerankingService,
    started: float,
    *,
    declined: Why | None = None,
) -> SearchAnswer:
    """Answer them all; the budget of each runs from `started`. Raises `UpstreamDown` or `UpstreamSlow`.

    With `declined` none is reranked, for that reason.
    """
    line = UpstreamLine(search, upstream)
    chosen: list[Decision] = []
    windows: list[int] = []

    def begin(one: msearch_flow.SubSearch) -> Conversation:
        made = Decision()
        try:
            made = _chosen(one, search.index, choose)
        except SidecarError as error:
            return _refused(error)
        finally:
            chosen.append(made)
        terms = made.terms
        if terms is None:
            return _as_it_came(one.body, made.left_out)
        windows.append(terms.window)
        most = service.scorer.most_waiting
        if sum(windows) > most:
            words = f"the windows of the searches before it hold the {most} passages that may wait"
            return _as_it_came(ext.without_our_ext(one.body), Why(Reason.OVERLOADED, words))
        index = msearch_flow.index_in(one.header) or search.index or None
        return upstream.cluster.begin(
            index,
            one.body,
            {},
            window=terms.window,
            fields=terms.fields,
            caller=line.account,
            hydrate="page",
            declined=declined,
        )

    try:
        found = await drive(msearch_flow.msearch_flow(search.body, line.params, begin), line.send, len(search.body))
    except EngineRejected as refused:
        return SearchAnswer(refused.status, line.reply.headers, refused.body, REFUSED)
    headers = without(line.reply.headers, b"content-length")
    fetched = time.perf_counter() - started
    if found.whole is not None:
        return SearchAnswer(line.reply.status, headers, found.whole, Outcome(Status.SKIPPED, found.skipped))
    caller = search.caller.key(proved=upstream.checks_accounts)
    outcomes = await _one_by_one(
        _outcome(stage, made, service, started, caller) for stage, made in zip(found.stages, chosen, strict=True)
    )
    rankings = [
        ranking_for(stage, outcome) if outcome is not None and not isinstance(stage, EngineRejected) else None
        for stage, outcome in zip(found.stages, outcomes, strict=True)
    ]
    try:
        bodies = await drive(msearch_flow.finish(found, rankings), line.send, len(search.body))
    except EngineRejected as refused:
        return SearchAnswer(refused.status, line.reply.headers, refused.body, REFUSED)
    took = int((time.perf_counter() - started) * 1000)
    timed = replace(found, top={**(found.top or {}), "took": msgspec.Raw(b"%d" % took)})

    def answered() -> bytes:
        told = [_told(*one, service) for one in zip(bodies, found.stages, chosen, outcomes, strict=True)]
        return msearch_flow.joined(timed, told)

    summary = _summary([outcome for outcome in outcomes if outcome is not None])
    return SearchAnswer(
        line.reply.status, headers, await off_loop(len(search.body), answered), summary, {"fetch": fetched}
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
    stage: FirstStage[NativeResponse] | EngineRejected,
    made: Decision,
    service: RerankingService,
    started: float,
    caller: str,
) -> Outcome | None:
    """Rerank one search; None if nobody asked for anything."""
    if not made.concerns_us:
        return None
    if isinstance(stage, EngineRejected):
        return REFUSED if made.terms is None else of(made.terms, REFUSED)
    chosen = made.terms
    if chosen is None:
        return Outcome(Status.SKIPPED, made.left_out)
    return await rerank(stage, chosen, service, chosen.seconds - (time.perf_counter() - started), caller)


def _told(
    body: bytes,
    stage: FirstStage[NativeResponse] | EngineRejected,
    made: Decision,
    outcome: Outcome | None,
    service: RerankingService,
) -> bytes:
    """One search's response, with what became of it."""
    if outcome is None or isinstance(stage, EngineRejected):
        return body
    chosen, rule = made.terms, {"rule": made.said_rule} if made.rule else {}
    if chosen is None:
        return explained(body, took=None, account={"status": outcome.status.value, "reason": outcome.words, **rule})
    if outcome.status is Status.FAILED and chosen.on_failure == "error":
        return error_body(503, f"reranking failed: {outcome.words}")
    said = explanation_of(outcome, chosen, stage, service.mapping(chosen.model)) or {
        "account": {"status": outcome.status.value, "reason": outcome.words, **exceptions(stage, chosen), **rule}
    }
    return explained(body, took=None, **said)


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


def _chosen(one: msearch_flow.SubSearch, index: str, choose: Choose) -> Decision:
    made = choose(msearch_flow.index_in(one.header) or index, one.body)
    # A shadow is seen by nobody, and of several searches in one request none is made.
    return Decision() if made.arm is Arm.SHADOW else made


def _as_it_came(body: bytes, reason: Why | None) -> Conversation:
    return skipped((yield OpenSearchRequest(body, {})), reason or Why(Reason.NOT_ASKED, "nobody asked for it"))


def _refused(error: SidecarError) -> Conversation:
    raise EngineRejected(error.message, status=400, body=error_body(400, error.message))
    yield OpenSearchRequest(b"", {})  # what makes it a conversation
