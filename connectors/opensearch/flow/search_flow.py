"""The conversation with OpenSearch over one search: what to ask next, given its answers. Pure: it sends nothing.

Whoever drives it (a synchronous client, an asynchronous one, one item of an `_msearch`, a proxy) sends each `Ask` to
the search's own path (or reads from the path it names) with the search's own headers, and hands back the answer's bytes
or throws the refusal in.
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
from connectors.opensearch.respond.response import SearchResponse
from connectors.opensearch.rewrite import fetch_phase as page_hydration
from connectors.opensearch.rewrite.ext import without_our_ext
from connectors.opensearch.rewrite.field_plan import FieldPlan
from connectors.opensearch.rewrite.filter_path import filtered
from connectors.opensearch.rewrite.request import Hydrate, Plan, Unranked, plan, unfiltered
from sidecar.core.candidates import Candidate, FirstStage, Ranking
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected
from sidecar.core.reasons import Reason, Why

if TYPE_CHECKING:
    from connectors.opensearch.flow.field_lookup import FieldLookup

_TAKES_EXT = Why(Reason.PIPELINE, "its search pipeline takes ext.rerank for itself")
# Refusals that the caller's own, smaller search would meet just the same, or that ask for fewer requests.
FINAL = {401, 403, 404, 429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class OpenSearchRequest:
    """One search to send: the body and the URL's parameters; or, where there is a `path`, what to GET beside it."""

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
# Asks, is sent the bytes of each answer (or has an `EngineRejected` thrown in), and returns its result.
Flow = Generator[OpenSearchRequest, bytes, Result]
Conversation = Flow[FirstStage[NativeResponse]]
# Tells, of a search's body and parameters, why it must go as it came, or None.
Overrule = Callable[[bytes, Mapping[str, Any]], Flow[Why | None]]


def search_flow(  # noqa: PLR0913  each is a decision of its own, by keyword
    body: bytes,
    params: Mapping[str, Any],
    *,
    window: int,
    fields: PassageFields,
    hydrate: Hydrate = "window",
    declined: Why | None = None,
    overrule: Overrule | None = None,
    lookup: FieldLookup | None = None,
) -> Conversation:
    """Search for the window; what can't be reranked is asked for as it came, and the reason is kept.

    So is what is `declined`, and what `overrule` has a reason against, the latter with the caller's own `ext.rerank`.
    Where an index allows no window of this size, it shrinks to what is allowed. Where hits show no text, `lookup` finds
    out how it is had. A search that OpenSearch refuses, or can't answer whole, once it is rewritten is replayed once as
    it came, but for an `ext.rerank` that no pipeline asked for. Ends with the `EngineRejected` thrown in where the
    caller's own search would have met it, too.
    """
    known = lookup.known if lookup is not None else None
    asking = partial(plan, body, fields=fields, params=params, hydrate=hydrate)
    planned = asking(window=window, reading=known) if declined is None else Unranked(declined, without_our_ext(body))
    own = planned.body if isinstance(planned, Unranked) else planned.original
    if overrule is not None and (isinstance(planned, Plan) or own != body):
        reason = yield from overrule(body, params)
        if reason is not None:
            return skipped((yield OpenSearchRequest(body, params)), reason)
    if isinstance(planned, Unranked):
        return (yield from _as_it_came(body, own, params, planned.reason))
    reading = known or FieldPlan(fields)
    planned, found = yield from _narrowed(planned, reading, asking)
    limit = found.limit
    if lookup is not None and lookup.is_new(found.lacking):
        reading = yield from lookup.learn(found.lacking, all_lack=found.all_lack)
        planned, found = yield from _read_anew(planned, found, reading, asking)
    if reading.refusal and found.all_lack:
        return (yield from _as_it_came(body, own, params, Why(Reason.NO_TEXT, reading.refusal), limit))
    if found.reason is not None or found.answer is None:
        as_it_came = OpenSearchRequest(body if found.lacks_ext else own, params)
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
    """The answer to a rewritten search, or the `reason` why it is no use.

    `limit` is the largest window allowed; `lacks_ext` says that a pipeline asked for the `ext.rerank` we took out.
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
    planned: Plan, reading: FieldPlan, asking: Callable[..., Plan | Unranked]
) -> Flow[tuple[Plan, _FoundWindow]]:
    """Search for the window, and for what the index allows where that is less and holds the page."""
    found = yield from _window(planned, reading)
    limit = found.limit
    if limit is not None and planned.start + planned.size <= limit:
        narrower = asking(window=min(planned.window, limit), reading=reading)
        if isinstance(narrower, Plan):
            return narrower, replace((yield from _window(narrower, reading)), limit=limit)
    return planned, found


def _read_anew(
    planned: Plan, found: _FoundWindow, reading: FieldPlan, asking: Callable[..., Plan | Unranked]
) -> Flow[tuple[Plan, _FoundWindow]]:
    """Read the candidates by what was learnt of their fields; searches once more only for what the answer lacks."""
    anew = asking(window=planned.window, reading=reading)
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
        limit = limit_in(refused.body, planned.asked)
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
        limit_in(raw_json.joined({"_shards": answer.top["_shards"]}), planned.asked) if answer.failed_shards else None
    )


def finish(first_stage: FirstStage[NativeResponse], ranking: Ranking | None) -> Flow[bytes]:
    """Cut the caller's page out of OpenSearch's answer, in the ranking's order; None leaves the answer as it is.

    Asks once more only for a page whose hits are not whole yet (`hydrate`); where OpenSearch refuses that, or does not
    find all of them, for the whole window. Ends with the `EngineRejected` thrown in where the index is gone meanwhile.
    """
    planned, answer = first_stage.native.plan, first_stage.native.answer
    if planned is None or answer is None or ranking is None:
        return first_stage.native.raw
    hits = response.page_of(answer, planned, ranking)
    if planned.whole is not None:  # without hits, too: a highlight that makes no sense is refused all the same
        answer = replace(answer, found=(yield from _hydrated(answer.found, hits, planned, planned.whole)))
    return response.respond(answer, planned, ranking)


def _hydrated(
    window: Sequence[msgspec.Raw], page: Sequence[msgspec.Raw], planned: Plan, whole: bytes
) -> Flow[list[msgspec.Raw]]:
    """Make the hits of the page whole: by a search for them alone, or for the window where that does not find them."""
    if page_hydration.are_distinct(window):
        try:
            params = page_hydration.params(planned.params)
            found = _hits((yield OpenSearchRequest(page_hydration.page(whole, page), params)))
            if page_hydration.are_among(page, found):
                return page_hydration.merged(window, found)
        except EngineRejected as refused:
            if refused.status in FINAL:
                raise
    return page_hydration.merged(window, _hits((yield OpenSearchRequest(whole, planned.params))))


def _hits(raw: bytes) -> list[msgspec.Raw]:
    try:
        return response.read(raw).found
    except raw_json.Malformed as malformed:
        raise EngineRejected(f"the page's hits can't be read: {malformed}", status=502, body=raw) from malformed


def _as_it_came(
    body: bytes, own: bytes, params: Mapping[str, Any], reason: Why, limit: int | None = None
) -> Conversation:
    """Send the caller's own search: less our `ext.rerank`, unless a pipeline turns out to need that."""
    try:
        return skipped((yield OpenSearchRequest(own, params)), reason, limit)
    except EngineRejected as refused:
        if own == body or not lacks_rerank_ext(refused.body):
            raise
    return skipped((yield OpenSearchRequest(body, params)), _TAKES_EXT)


def skipped(raw: bytes, reason: Why, limit: int | None = None) -> FirstStage[NativeResponse]:
    """OpenSearch's own answer, not to be reranked, and why."""
    return FirstStage(query="", candidates=(), native=NativeResponse(raw, limit=limit), skipped=reason)


def _failed_shards(raw: bytes) -> int:
    try:
        return response.read(raw).failed_shards
    except raw_json.Malformed:
        return 0
