"""Several searches in one request (`_msearch`), their search flows driven in step. Bytes in, bytes out, no I/O.

Each search has its header line and a search flow of its own. The next requests of all flows are sent as one `_msearch`,
and each flow gets its own answer or its own rejection: one search that fails does not fail the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.errors import rejection
from connectors.opensearch.flow.driving import proceed
from connectors.opensearch.flow.search_flow import FINAL, Flow, NativeResponse, OpenSearchRequest, Result, SearchFlow
from connectors.opensearch.flow.search_flow import finish as finish_search
from connectors.opensearch.respond.additions import NO_ADDITIONS, Additions
from connectors.opensearch.respond.response import unranked
from connectors.opensearch.rewrite.filter_path import Filters, NoPaths, filtered, parsed
from connectors.opensearch.rewrite.request import unfiltered
from connectors.opensearch.rewrite.search_body import SearchBody, json_text
from sidecar.core.candidates import FirstStage, Ranking
from sidecar.core.errors import EngineRejected
from sidecar.core.reasons import Reason, Why

# Windows are larger than pages: more of them in one answer are more than a client may hold.
MAX_SEARCHES = 1000


@dataclass(frozen=True, slots=True)
class SubSearch:
    """One search of several: its header, a line without its end, and its body."""

    header: bytes
    body: SearchBody


@dataclass(frozen=True, slots=True)
class Stages:
    """The first stage of each search, in order, or OpenSearch's rejection of it.

    `top` are the members of OpenSearch's answer beside `responses`; its `took` is the sum of all answers. `filters` are
    the request's `filter_path`; further requests are sent with `headers` and `params`. If the searches could not be
    told apart, or OpenSearch refused them all together, `whole` is its own answer to the request as it came and
    `skipped` says why.
    """

    stages: tuple[FirstStage[NativeResponse] | EngineRejected, ...] = ()
    top: Mapping[str, msgspec.Raw] | None = None
    filters: Filters | None = None
    headers: tuple[bytes, ...] = ()
    params: Mapping[str, Any] | None = None
    whole: bytes | None = None
    skipped: Why | None = None


@dataclass(frozen=True, slots=True)
class _Answers:
    """A parsed answer to an `_msearch`: its members beside `responses`, and for each search bytes or a rejection."""

    top: Mapping[str, msgspec.Raw]
    each: Sequence[bytes | EngineRejected]


_Names = str | int | float | bool | list[str | int | float | bool] | None


class _Head(msgspec.Struct):
    status: int = 200
    error: msgspec.Raw = msgspec.Raw()


class _Header(msgspec.Struct):
    index: _Names = None
    indices: _Names = None


def searches(body: bytes) -> list[SubSearch]:
    """Read pairs of lines as OpenSearch does, each line with its end. Raises `raw_json.Malformed` for anything else."""
    # One empty line may come first.
    *found, rest = body.removeprefix(b"\n").split(b"\n")
    if rest:
        raise raw_json.Malformed("the last line has no end")
    if not found or len(found) % 2:
        raise raw_json.Malformed("the lines are not pairs of header and body")
    if len(found) > 2 * MAX_SEARCHES:
        raise raw_json.Malformed(f"more than {MAX_SEARCHES} searches at once are not reranked")
    return [SubSearch(header, SearchBody(line)) for header, line in zip(found[::2], found[1::2], strict=True)]


def index_in(header: bytes) -> str | None:
    """Find the index that a header names, as `index` or else as `indices`; several become one expression."""
    try:
        found = msgspec.json.decode(json_text(header) or b"{}", type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    named = found.indices if found.index is None else found.index
    return ",".join(map(str, named)) if isinstance(named, list) else None if named is None else str(named)


def lines(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write pairs of header and body as lines."""
    # An empty first line would not count as a header.
    return b"".join((header or b"{}") + b"\n" + body + b"\n" for header, body in pairs)


def msearch_flow(body: bytes, params: Mapping[str, Any], start: Callable[[SubSearch], SearchFlow]) -> Flow[Stages]:
    """Drive the search flow that `start` makes for each search, all in step; `params` are the URL's.

    Raises the `EngineRejected` that the caller's own request would have met.
    """
    try:
        found = searches(body)
    except raw_json.Malformed as malformed:
        return Stages(whole=(yield OpenSearchRequest(body, params)), skipped=Why(Reason.MALFORMED, str(malformed)))
    return (yield from searches_flow(found, params, [start(search) for search in found]))


def searches_flow(found: Sequence[SubSearch], params: Mapping[str, Any], flows: Sequence[SearchFlow]) -> Flow[Stages]:
    """Drive the flow of each search, all in step. Raises as `msearch_flow` does."""
    try:
        filters = parsed(str(params.get("filter_path", "")))
        headers = [search.header for search in found]
        stages, top = yield from in_step(headers, flows, unfiltered(params))
    except NoPaths as refused:
        reason = Why(Reason.OTHER_FORM, str(refused))
    except EngineRejected as refused:
        if refused.status in FINAL:
            raise
        reason = Why(Reason.WINDOW_REFUSED, f"OpenSearch refused the windows: {refused.message}")
    except raw_json.Malformed as malformed:
        reason = Why(Reason.ANSWER_UNREADABLE, f"the response can't be reranked: {malformed}")
    else:
        return Stages(tuple(stages), top, filters, tuple(headers), unfiltered(params))
    original = lines((search.header, search.body.forwarded) for search in found)
    return Stages(whole=(yield OpenSearchRequest(original, params)), skipped=reason)


def finish(
    found: Stages, rankings: Sequence[Ranking | None], added: Sequence[Additions] | None = None
) -> Flow[list[bytes]]:
    """Cut each search's page out of its answer, as `search_flow.finish` does. A rejection is its own answer."""
    additions = added or [NO_ADDITIONS] * len(rankings)
    flows = [_finish(*each) for each in zip(found.stages, rankings, additions, strict=True)]
    try:
        answers, _ = yield from in_step(found.headers, flows, found.params or {})
    except raw_json.Malformed as malformed:
        raise EngineRejected(f"the pages' hits can't be read: {malformed}", status=502) from malformed
    return [
        unranked(answer.body, addition) if isinstance(answer, EngineRejected) else answer
        for answer, addition in zip(answers, additions, strict=True)
    ]


def _finish(
    stage: FirstStage[NativeResponse] | EngineRejected, ranking: Ranking | None, added: Additions
) -> Flow[bytes]:
    if isinstance(stage, EngineRejected):
        raise stage
    return (yield from finish_search(stage, ranking, added))


def in_step(
    headers: Sequence[bytes], flows: Sequence[Flow[Result]], params: Mapping[str, Any]
) -> Flow[tuple[list[Result | EngineRejected], dict[str, msgspec.Raw]]]:
    """Drive flows to their ends; return their results or rejections, and the other members of OpenSearch's answers.

    Raises `raw_json.Malformed` for an answer that does not fit an `_msearch`, and the `EngineRejected` of a whole
    request.
    """
    steps: list[Any] = [_next(flow, None) for flow in flows]
    top: dict[str, msgspec.Raw] = {}
    took = 0
    while waiting := [place for place, step in enumerate(steps) if isinstance(step, OpenSearchRequest)]:
        read = next((steps[place] for place in waiting if steps[place].path is not None), None)
        if read is not None:
            known = yield from _get(read)
            for place in waiting:
                # Searches of one index need the same answer.
                if steps[place].path == read.path:
                    steps[place] = _next(flows[place], known)
            continue
        raw = yield OpenSearchRequest(lines((headers[place], steps[place].body) for place in waiting), params)
        answers = _read(raw)
        if len(answers.each) != len(waiting):
            raise raw_json.Malformed(f"{len(answers.each)} answers to {len(waiting)} searches")
        for place, answer in zip(waiting, answers.each, strict=True):
            steps[place] = _next(flows[place], answer)
        top = {**top, **answers.top}
        took += _took(answers.top)
    return steps, top | {"took": msgspec.Raw(b"%d" % took)}


def joined(found: Stages, responses: Iterable[bytes]) -> bytes:
    """Write the answer to an `_msearch` from the answers to each of its searches, in order."""
    array = msgspec.Raw(b"[" + b",".join(responses) + b"]")
    return filtered(raw_json.joined({**(found.top or {}), "responses": array}), found.filters)


def _get(request: OpenSearchRequest) -> Flow[bytes | EngineRejected]:
    """Send a request that does not belong into an `_msearch`."""
    try:
        return (yield request)
    except EngineRejected as refused:
        return refused


def _next(flow: Flow[Result], answer: bytes | EngineRejected | None) -> OpenSearchRequest | Result | EngineRejected:
    try:
        return proceed(flow, answer)
    except EngineRejected as refused:
        return refused


def _read(raw: bytes) -> _Answers:
    try:
        top = raw_json.members(raw)
        each = raw_json.elements(top.pop("responses", b""))
        return _Answers(top, [_answer(bytes(response)) for response in each])
    except raw_json.Malformed:
        top = raw_json.members(raw_json.escape_surrogates(raw))
        each = raw_json.elements(top.pop("responses", b""))
        return _Answers(top, [_answer(raw_json.restore_surrogates(bytes(response))) for response in each])


def _answer(response: bytes) -> bytes | EngineRejected:
    try:
        head = msgspec.json.decode(response, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return response  # whoever reads it will say what is wrong with it
    if not bytes(head.error):
        return response
    return rejection(head.status, response.decode("utf-8", "surrogatepass"))


def _took(top: Mapping[str, msgspec.Raw]) -> int:
    took = bytes(top.get("took", b"0"))
    return int(took) if took.isdigit() else 0
