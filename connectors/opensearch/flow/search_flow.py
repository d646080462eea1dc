"""The search flow: which request OpenSearch gets next for one search, given its answers. No I/O.

A driver (a synchronous client, an asynchronous one, one search of an `_msearch`, the proxy) sends each
`OpenSearchRequest` to the search's own path, or reads from the path that the request names, with the search's own
headers. It sends the bytes of the answer into the flow, or throws the rejection in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.errors import lacks_rerank_ext
from connectors.opensearch.flow.max_result_window import limit_in
from connectors.opensearch.respond import response
from connectors.opensearch.respond.additions import NO_ADDITIONS, Additions
from connectors.opensearch.respond.response import SearchResponse
from connectors.opensearch.rewrite import fetch_phase
from connectors.opensearch.rewrite.field_plan import FieldPlan
from connectors.opensearch.rewrite.filter_path import filtered
from connectors.opensearch.rewrite.request import FetchPhase, Plan, Unranked, plan, unfiltered
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.candidates import Candidate, FirstStage, Ranking
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected
from sidecar.core.reasons import Reason, Why

if TYPE_CHECKING:
    from connectors.opensearch.flow.field_lookup import FieldLookup

_TAKES_EXT = Why(Reason.PIPELINE, "its search pipeline takes ext.rerank for itself")
# Rejections that the caller's own, smaller search would meet just the same, or that mean to send fewer requests.
FINAL = {401, 403, 404, 429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class OpenSearchRequest:
    """One search to send: its body and the URL's parameters; or a GET of `path`, where there is one."""

    body: bytes
    params: Mapping[str, Any]
    path: str | None = None


@dataclass(frozen=True, slots=True)
class NativeResponse:
    """OpenSearch's answer: its bytes, and if it can be reranked the plan behind it and its parts.

    `limit` is the largest window that the index allows, if one was refused. `warning` says what the caller should know
    of the fields that were read; it is empty where all is well.
    """

    raw: bytes
    plan: Plan | None = None
    answer: SearchResponse | None = None
    limit: int | None = None
    warning: str = ""

    def documents(self) -> list[bytes]:
        """Each hit's `_source` as one line of JSON, null where there is none."""
        return [] if self.answer is None else response.sources(self.answer)


Result = TypeVar("Result")
# Yields requests, is sent the bytes of each answer (or has an `EngineRejected` thrown in), and returns its result.
Flow = Generator[OpenSearchRequest, bytes, Result]
SearchFlow = Flow[FirstStage[NativeResponse]]
# Says, given a search's body and parameters, why the search must be sent as it came, or None.
Overrule = Callable[[SearchBody, Mapping[str, Any]], Flow[Why | None]]


def search_flow(  # noqa: PLR0913  each is a decision of its own, by keyword
    body: SearchBody,
    params: Mapping[str, Any],
    *,
    window: int,
    fields: PassageFields,
    fetch_phase: FetchPhase = "window",
    declined: Why | None = None,
    overrule: Overrule | None = None,
    lookup: FieldLookup | None = None,
) -> SearchFlow:
    """Search for the window; a search that can't be reranked is sent as it came, and the reason is kept.

    A `declined` search is sent as it came, too, and so is one that `overrule` gives a reason against; the latter keeps
    its `ext.rerank`. If an index does not allow a window of this size, the window shrinks to the allowed one. If hits
    show no text, `lookup` finds out how to get it. If OpenSearch refuses the rewritten search or fails on some shards,
    the original search is sent once, without an `ext.rerank` that no pipeline needs. Raises the `EngineRejected` that
    the caller's own search would have met.
    """
    known = lookup.known if lookup is not None else None
    planning = partial(plan, body, fields=fields, params=params, fetch_phase=fetch_phase)
    planned = planning(window=window, reading=known) if declined is None else Unranked(declined, body.forwarded)
    own = planned.body if isinstance(planned, Unranked) else planned.original
    if overrule is not None and (isinstance(planned, Plan) or own != body.raw):
        reason = yield from overrule(body, params)
        if reason is not None:
            return skipped((yield OpenSearchRequest(body.raw, params)), reason)
    if isinstance(planned, Unranked):
        return (yield from _as_it_came(body.raw, own, params, planned.reason))
    reading = known or FieldPlan(fields)
    planned, found = yield from _narrowed(planned, reading, planning)
    limit = found.limit
    if lookup is not None and lookup.is_new(found.lacking):
        reading = yield from lookup.learn(found.lacking, all_lack=found.all_lack)
        planned, found = yield from _read_anew(planned, found, reading, planning)
    if reading.refusal and found.all_lack:
        return (yield from _as_it_came(body.raw, own, params, Why(Reason.NO_TEXT, reading.refusal), limit))
    if found.reason is not None or found.answer is None:
        as_it_came = OpenSearchRequest(body.raw if found.lacks_ext else own, params)
        reason = found.reason or Why(Reason.ANSWER_UNREADABLE, "there is no response to rerank")
        return skipped((yield as_it_came), _TAKES_EXT if found.lacks_ext else reason, limit)
    if found.answer.failed_shards:
        whole = yield OpenSearchRequest(own, unfiltered(params))
        if _failed_shards(whole) < found.answer.failed_shards:
            refused = Why(Reason.WINDOW_REFUSED, "some shards refused the window")
            return skipped(filtered(whole, planned.filters), refused, limit)
    warning = "; ".join(filter(None, [reading.choice, reading.warning if found.lacking else ""]))
    native = NativeResponse(found.raw, planned, found.answer, limit, warning)
    return FirstStage(query=planned.query, candidates=found.candidates, native=native)


@dataclass(frozen=True, slots=True)
class _FoundWindow:
    """The answer to a rewritten search, or the `reason` why it can't be used.

    `limit` is the largest window allowed; `lacks_ext` says that a pipeline needs the `ext.rerank` that was taken out.
    `lacking` are the indexes whose hits show no text, and `all_lack` says that no other hit shows any.
    """

    raw: bytes = b""
    answer: SearchResponse | None = None
    candidates: Sequence[Candidate] = ()
    reason: Why | None = None
    limit: int | None = None
    lacking: Sequence[str] = ()
    all_lack: bool = False
    lacks_ext: bool = False


def _narrowed(
    planned: Plan, reading: FieldPlan, planning: Callable[..., Plan | Unranked]
) -> Flow[tuple[Plan, _FoundWindow]]:
    """Search for the window, and for what the index allows where that is less and holds the page."""
    found = yield from _window(planned, reading)
    limit = found.limit
    if limit is not None and planned.start + planned.size <= limit:
        narrower = planning(window=min(planned.window, limit), reading=reading)
        if isinstance(narrower, Plan):
            return narrower, replace((yield from _window(narrower, reading)), limit=limit)
    return planned, found


def _read_anew(
    planned: Plan, found: _FoundWindow, reading: FieldPlan, planning: Callable[..., Plan | Unranked]
) -> Flow[tuple[Plan, _FoundWindow]]:
    """Read the candidates by what was learnt of their fields; search again only if the answer lacks some of them."""
    anew = planning(window=planned.window, reading=reading)
    if isinstance(anew, Unranked) or found.answer is None:
        return planned, found
    if (anew.body, anew.params) == (planned.body, planned.params):
        return planned, _read(found.raw, planned, reading)
    return anew, (yield from _window(anew, reading))


def _window(planned: Plan, reading: FieldPlan) -> Flow[_FoundWindow]:
    try:
        raw = yield OpenSearchRequest(planned.body, planned.params)
    except EngineRejected as refused:
        if refused.status in FINAL:
            raise
        reason = Why(Reason.WINDOW_REFUSED, f"OpenSearch refused the window: {refused.message}")
        limit = limit_in(refused.body, planned.requested)
        return _FoundWindow(reason=reason, limit=limit, lacks_ext=lacks_rerank_ext(refused.body))
    return _read(raw, planned, reading)


def _read(raw: bytes, planned: Plan, reading: FieldPlan) -> _FoundWindow:
    try:
        answer = response.read(raw)
        candidates = response.candidates(answer, planned, reading.fields, reading)
    except raw_json.Malformed as malformed:
        return _FoundWindow(reason=Why(Reason.ANSWER_UNREADABLE, f"the response can't be reranked: {malformed}"))
    lacking, all_lack = response.without_text(answer, candidates) if reading.fields.text else ([], False)
    limit = _limit_of_shards(answer, planned)
    return _FoundWindow(raw, answer, candidates, limit=limit, lacking=lacking, all_lack=all_lack)


def _limit_of_shards(answer: SearchResponse, planned: Plan) -> int | None:
    return (
        limit_in(raw_json.joined({"_shards": answer.top["_shards"]}), planned.requested)
        if answer.failed_shards
        else None
    )


def finish(
    first_stage: FirstStage[NativeResponse], ranking: Ranking | None, added: Additions = NO_ADDITIONS
) -> Flow[bytes]:
    """Cut the caller's page out of OpenSearch's answer, in the ranking's order; None leaves its hits as they are.

    Sends a second request only if the hits of the page lack what the fetch phase computes for each (`fetch_phase`): for
    the page, and if OpenSearch refuses that or does not find all hits, for the whole window. Raises the
    `EngineRejected` thrown in if the index is gone meanwhile.
    """
    planned, answer = first_stage.native.plan, first_stage.native.answer
    if planned is None or answer is None or ranking is None:
        return response.unranked(first_stage.native.raw, added)
    hits = response.page_of(answer, planned, ranking)
    if planned.whole is not None:  # without hits, too: a highlight that makes no sense is refused all the same
        answer = replace(answer, found=(yield from _fetched(answer.found, hits, planned, planned.whole)))
    return response.respond(answer, planned, ranking, added)


def _fetched(
    window: Sequence[msgspec.Raw], page: Sequence[msgspec.Raw], planned: Plan, whole: bytes
) -> Flow[list[msgspec.Raw]]:
    """Fetch the whole hits of the page: by a search for these alone, or for the window if that does not find them."""
    if fetch_phase.are_distinct(window):
        try:
            params = fetch_phase.params(planned.params)
            found = _hits((yield OpenSearchRequest(fetch_phase.page(whole, page), params)))
            if fetch_phase.are_among(page, found):
                return fetch_phase.merged(window, found)
        except EngineRejected as refused:
            if refused.status in FINAL:
                raise
    return fetch_phase.merged(window, _hits((yield OpenSearchRequest(whole, planned.params))))


def _hits(raw: bytes) -> list[msgspec.Raw]:
    try:
        return response.read(raw).found
    except raw_json.Malformed as malformed:
        raise EngineRejected(f"the page's hits can't be read: {malformed}", status=502, body=raw) from malformed


def _as_it_came(
    body: bytes, own: bytes, params: Mapping[str, Any], reason: Why, limit: int | None = None
) -> SearchFlow:
    """Send the caller's own search: without `ext.rerank`, unless a pipeline turns out to need that."""
    try:
        return skipped((yield OpenSearchRequest(own, params)), reason, limit)
    except EngineRejected as refused:
        if own == body or not lacks_rerank_ext(refused.body):
            raise
    return skipped((yield OpenSearchRequest(body, params)), _TAKES_EXT)


def skipped(raw: bytes, reason: Why, limit: int | None = None) -> FirstStage[NativeResponse]:
    """Return OpenSearch's own answer, not to be reranked, and the reason."""
    return FirstStage(query="", candidates=(), native=NativeResponse(raw, limit=limit), skipped=reason)


def _failed_shards(raw: bytes) -> int:
    try:
        return response.read(raw).failed_shards
    except raw_json.Malformed:
        return 0
