"""Answers one search: drives its flow in the caller's name, reranks, and writes the response."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from connectors.opensearch.flow.search_flow import NativeResponse, finish
from connectors.opensearch.respond.additions import Additions
from sidecar.core.candidates import FirstStage, Ranking, fields_of
from sidecar.core.errors import EngineRejected, RateLimited
from sidecar.core.explanation import Explanation, explain
from sidecar.core.reasons import Reason, Why
from sidecar.core.stage_two import count_answers
from sidecar.serving.http.headers import Headers, header_text, without
from sidecar.serving.proxy.driving import FlowDriver
from sidecar.serving.proxy.page_spans import page_of, spans_added, spans_told
from sidecar.serving.proxy.rerank_options import RerankOptions
from sidecar.serving.proxy.search_request import SearchCall
from sidecar.serving.proxy.upstream import Upstream
from sidecar.serving.scorer.rate_limits import Unit
from sidecar.serving.scorer.service import Outcome, RerankingService, Status, why_of
from sidecar.serving.scorer.spans import find_spans
from sidecar.serving.scorer.terms import Terms

REFUSED = Outcome(Status.SKIPPED, Why(Reason.SEARCH_REFUSED, "OpenSearch refused the search"))


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The answer to the caller, and the outcome of the reranking."""

    status: int
    headers: Headers
    body: bytes
    outcome: Outcome
    seconds: dict[str, float] = field(default_factory=dict)


async def answer(  # noqa: PLR0913  each comes from somewhere else
    call: SearchCall,
    options: RerankOptions,
    upstream: Upstream,
    service: RerankingService,
    started: float,
    *,
    declined: Why | None = None,
) -> SearchAnswer:
    """Search, rerank within what is left of the budget, and respond. Raises `UpstreamDown` or `UpstreamSlow`.

    `started` is when the call came, by `time.perf_counter`. With `declined` nothing is reranked, for that reason.
    """
    driver = FlowDriver(call, upstream)
    try:
        flow = upstream.cluster.search(
            call.index or None,
            call.body,
            driver.params,
            window=options.window,
            fields=options.fields,
            caller=driver.caller,
            fetch_phase="page",
            declined=declined,
        )
        first_stage = await driver.drive(flow)
        fetched = time.perf_counter() - started
        # OpenSearch has just answered in this caller's name.
        caller = call.caller.key(proved=upstream.checks_accounts)
        outcome = await rerank(first_stage, options, service, options.seconds - fetched, caller)
        added = replace(
            explanation_of(outcome, options, first_stage),
            took=lambda: int((time.perf_counter() - started) * 1000),
        )
        body = await driver.drive(finish(first_stage, ranking_for(first_stage, outcome), added))
    except EngineRejected as refused:
        # Not always the last answer: what was tried after it may have been refused for another reason.
        return SearchAnswer(refused.status, driver.reply.headers, refused.body, labelled(options, REFUSED))
    headers = without(driver.reply.headers, b"content-length") + how_read(first_stage)
    stages = {"fetch": fetched, **outcome.seconds}
    return SearchAnswer(driver.reply.status, headers, body, replace(outcome, seconds=stages), stages)


def how_read(first_stage: FirstStage[NativeResponse]) -> Headers:
    """Return the headers that tell how a window was read: its size, the fields, and a warning about them."""
    native = first_stage.native
    if native.plan is None:
        return []
    said = {"window": str(native.plan.window), "fields": ", ".join(fields_of(first_stage.candidates))}
    words = {name: header_text(value) for name, value in {**said, "warning": native.warning}.items()}
    return [(b"x-rerank-" + name.encode(), value.encode()) for name, value in words.items() if value]


def outcome_headers(outcome: Outcome, rule: str = "") -> Headers:
    """Return the headers with the outcome of a reranking, and the rule that decided, if one did."""
    said: Headers = [(b"x-rerank-status", outcome.status.value.encode())]
    if outcome.reason:
        said.append((b"x-rerank-reason", header_text(outcome.words).encode()))
    if rule:
        said.append((b"x-rerank-rule", rule.encode()))
    counted = cut_of(outcome) | stage_of(outcome)
    return said + [(b"x-rerank-" + name.encode(), str(value).encode()) for name, value in counted.items()]


def error_status(outcome: Outcome) -> tuple[int, Headers]:
    """Return the status and headers for a caller who wants an error if reranking failed (`on_failure: error`).

    Clients send a search again at once on 503, and not on 429, which is for a caller over a rate limit, nor on 413,
    which is for a search that no minute allows.
    """
    if outcome.reason is None or outcome.reason.reason is not Reason.RATE_LIMITED:
        return 503, []
    after = outcome.reason.retry_after
    return (413, []) if after is None else (429, [(b"retry-after", str(after).encode())])


def stage_of(outcome: Outcome) -> dict[str, int]:
    """Say whose order it is, that of stage 1 or 2; empty if no generator was asked."""
    if outcome.ranking is None or outcome.ranking.stage_two is None:
        return {}
    return {"stage": outcome.ranking.stage_two.stage}


def cut_of(outcome: Outcome) -> dict[str, int]:
    """Say how many hits of the window are left and how many were dropped for `min_relevance`; empty without one."""
    if outcome.ranking is None or outcome.ranking.cut is None:
        return {}
    return {"kept": len(outcome.ranking.hits), "dropped": outcome.ranking.cut.dropped}


def server_timing(answered: SearchAnswer, total: float) -> tuple[bytes, bytes]:
    """Return the header with the duration of each stage; `total` is in seconds, as they are."""
    stages = {**answered.seconds, "total": total}
    return b"server-timing", ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in stages.items()).encode()


def exceptions(first_stage: FirstStage[NativeResponse], options: RerankOptions) -> dict[str, Any]:
    """Name what differs from the options: a smaller window, other fields; empty if nothing does."""
    plan, warning = first_stage.native.plan, first_stage.native.warning
    said: dict[str, Any] = {} if plan is None or plan.window == options.window else {"window": plan.window}
    return said | ({"warning": warning} if warning else {})


async def rerank(
    first_stage: FirstStage[NativeResponse],
    options: RerankOptions,
    service: RerankingService,
    seconds: float,
    caller: str,
) -> Outcome:
    """Rerank the candidates of a first stage within `seconds`, and find the spans of the page in what is left."""
    started = time.perf_counter()
    if first_stage.skipped is not None:
        outcome = Outcome(Status.SKIPPED, first_stage.skipped)
    elif not first_stage.candidates:
        outcome = Outcome(Status.SKIPPED, Why(Reason.NO_HITS, "there are no hits"))
    elif seconds <= 0:
        words = "the first stage took the whole budget"
        outcome = Outcome(Status.FAILED, Why(Reason.FIRST_STAGE_TOO_SLOW, words))
    elif (why := _over_the_rate(service, caller)) is not None:
        outcome = Outcome(Status.FAILED, why)
    else:
        outcome = await service.rank(
            first_stage.query,
            first_stage.candidates,
            model=options.model,
            fusion=options.fusion,
            seconds=seconds,
            min_relevance=options.min_relevance,
            listwise=options.listwise,
            caller=caller,
        )
    if options.spans is not None and outcome.ranking is not None:
        page = [hit.candidate.passage for hit in page_of(outcome.ranking, first_stage)]
        left = Terms(seconds - (time.perf_counter() - started), caller)
        found = await find_spans(service, options.model, first_stage.query, page, options.spans.options, left)
        outcome = replace(outcome, spans=found.each)
    return labelled(options, outcome)


def _over_the_rate(service: RerankingService, caller: str) -> Why | None:
    """Count a request of a caller; say why it is not reranked if they have used up those of this minute."""
    try:
        service.rates.take(Unit.REQUESTS, caller)
    except RateLimited as error:
        return why_of(error)
    return None


def labelled(options: RerankOptions, outcome: Outcome) -> Outcome:
    """Return an outcome with the labels of its metrics: its model, and the rule behind it."""
    return replace(outcome, model=options.model, rule=options.rule)


def ranking_for(first_stage: FirstStage[NativeResponse], outcome: Outcome) -> Ranking:
    """Return the ranking to cut the caller's page by; an empty one leaves OpenSearch's order and scores."""
    return outcome.ranking or Ranking(first_stage.query, (), {})


def explanation_of(outcome: Outcome, options: RerankOptions, first_stage: FirstStage[NativeResponse]) -> Additions:
    """Return what `explain` and `spans` add to a response; nothing if the search does not request them."""
    said: dict[str, Any] = {"status": outcome.status.value, "reason": outcome.words}
    if not options.explain:
        return spans_added(outcome, options.spans, first_stage, said) if options.spans else Additions()
    said |= {"model": options.model}
    said |= {"query_text": first_stage.query, "window": options.window}
    fusion = outcome.fusion or options.fusion
    if fusion is not None:
        said |= {"fusion": fusion.method.value}
        share = fusion.model_share if outcome.ranking is None else outcome.ranking.model_share
        said |= {"fusion_weight": share} if share is not None else {}
    said |= cut_of(outcome) | exceptions(first_stage, options)
    said |= {"min_relevance": options.min_relevance} if options.min_relevance else {}
    said |= _stage_two(outcome, options)
    plan = first_stage.native.plan
    if outcome.ranking is None or plan is None:
        return Additions(rerank=said | (spans_told(outcome) if options.spans else {}))
    hits = [_known_of(hit) for hit in explain(outcome.ranking, outcome.mapping)[plan.start : plan.start + plan.size]]
    if options.spans is None:
        return Additions(rerank=said, hits=hits)
    return spans_added(outcome, options.spans, first_stage, said, hits)


def _stage_two(outcome: Outcome, options: RerankOptions) -> dict[str, Any]:
    """Explain stage two: the generator, how many hits it ordered, and what was wrong with its answers."""
    if outcome.ranking is None or (found := outcome.ranking.stage_two) is None:
        return {}
    counts = count_answers(found.windows)
    return stage_of(outcome) | {"stage_two": {"generator": options.generator, "depth": found.depth, **counts}}


def _known_of(hit: Explanation) -> dict[str, Any]:
    """Leave out of a hit's explanation what is unknown, or in the hit already."""
    said = {name: value for name, value in msgspec.to_builtins(hit).items() if value is not None}
    return {name: value for name, value in said.items() if name not in {"docid", "rank"}}
