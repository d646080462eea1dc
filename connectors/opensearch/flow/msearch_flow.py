"""Several searches in one request (`_msearch`), their conversations held in step. Pure: bytes in, bytes out.

Each search has its header line and a conversation of its own; what all of them ask next goes out as one `_msearch`, and
each is handed its own answer, or its own refusal: one that fails, fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.errors import rejection
from connectors.opensearch.flow.driving import proceed
from connectors.opensearch.flow.search_flow import FINAL, Conversation, Flow, NativeResponse, OpenSearchRequest, Result
from connectors.opensearch.flow.search_flow import finish as finish_search
from connectors.opensearch.rewrite.ext import without_our_ext
from connectors.opensearch.rewrite.filter_path import Filters, NoPaths, filtered, parsed
from connectors.opensearch.rewrite.json_text import json_text
from connectors.opensearch.rewrite.request import unfiltered
from sidecar.core.candidates import FirstStage, Ranking
from sidecar.core.errors import EngineRejected
from sidecar.core.reasons import Reason, Why

# Windows are larger than pages: more of them in one answer are more than a client may hold.
MAX_SEARCHES = 1000


@dataclass(frozen=True, slots=True)
class SubSearch:
    """One search of several: its header and its body, each a line without its end."""

    header: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Stages:
    """The first stage of each search, in order, or OpenSearch's refusal of it.

    `top` are the members of OpenSearch's answer beside `responses`; `took` is the sum of all its answers. `filters` are
    the request's `filter_path`; `headers` and `params` are what further asks are sent with. Where the
    searches could not be told apart, or OpenSearch refused them all together, `whole` is its own answer to the request
    as it came and `skipped` says why.
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
    """An answer to an `_msearch` taken apart: its members beside `responses`, and for each search bytes or refusal."""

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
    """Read pairs of lines as OpenSearch does, each line with its end. Raises `splice.Malformed` for anything else."""
    # One empty line may come first.
    *found, rest = body.removeprefix(b"\n").split(b"\n")
    if rest:
        raise raw_json.Malformed("the last line has no end")
    if not found or len(found) % 2:
        raise raw_json.Malformed("the lines are not pairs of header and body")
    if len(found) > 2 * MAX_SEARCHES:
        raise raw_json.Malformed(f"more than {MAX_SEARCHES} searches at once are not reranked")
    return [SubSearch(header, line) for header, line in zip(found[::2], found[1::2], strict=True)]


def index_in(header: bytes) -> str | None:
    """Find the index that a header names, as `index` or else as `indices`; several become one expression."""
    try:
        found = msgspec.json.decode(json_text(header) or b"{}", type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    named = found.indices if found.index is None else found.index
    return ",".join(map(str, named)) if isinstance(named, list) else None if named is None else str(named)


def lines(found: Iterable[SubSearch]) -> bytes:
    """Write the pairs of lines."""
    # An empty first line would not count as a header.
    return b"".join((search.header or b"{}") + b"\n" + search.body + b"\n" for search in found)


def msearch_flow(body: bytes, params: Mapping[str, Any], begin: Callable[[SubSearch], Conversation]) -> Flow[Stages]:
    """Hold the conversation that `begin` opens for each search, all in step; `params` are the URL's.

    Ends with the `EngineRejected` thrown in where the caller's own request would have met it, too.
    """
    try:
        found = searches(body)
    except raw_json.Malformed as malformed:
        return Stages(whole=(yield OpenSearchRequest(body, params)), skipped=Why(Reason.MALFORMED, str(malformed)))
    try:
        filters = parsed(str(params.get("filter_path", "")))
        headers, talks = [search.header for search in found], [begin(search) for search in found]
        stages, top = yield from in_step(headers, talks, unfiltered(params))
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
    original = lines(SubSearch(s.header, without_our_ext(s.body)) for s in found)
    return Stages(whole=(yield OpenSearchRequest(original, params)), skipped=reason)


def finish(found: Stages, rankings: Sequence[Ranking | None]) -> Flow[list[bytes]]:
    """Cut each search's page out of its answer; None for a search that is not reranked. A refusal is its own answer."""
    talks = [_finish(stage, ranking) for stage, ranking in zip(found.stages, rankings, strict=True)]
    try:
        answers, _ = yield from in_step(found.headers, talks, found.params or {})
    except raw_json.Malformed as malformed:
        raise EngineRejected(f"the pages' hits can't be read: {malformed}", status=502) from malformed
    return [answer.body if isinstance(answer, EngineRejected) else answer for answer in answers]


def _finish(stage: FirstStage[NativeResponse] | EngineRejected, ranking: Ranking | None) -> Flow[bytes]:
    if isinstance(stage, EngineRejected):
        raise stage
    return (yield from finish_search(stage, ranking))


def in_step(
    headers: Sequence[bytes], talks: Sequence[Flow[Result]], params: Mapping[str, Any]
) -> Flow[tuple[list[Result | EngineRejected], dict[str, msgspec.Raw]]]:
    """Hold conversations to their ends; return their results or refusals, and the rest of OpenSearch's answers.

    Raises `splice.Malformed` for an answer that is none to an `_msearch`, and the `EngineRejected` of a whole request.
    """
    steps: list[Any] = [_next(talk, None) for talk in talks]
    top: dict[str, msgspec.Raw] = {}
    took = 0
    while waiting := [place for place, step in enumerate(steps) if isinstance(step, OpenSearchRequest)]:
        beside = next((steps[place] for place in waiting if steps[place].path is not None), None)
        if beside is not None:
            known = yield from _beside(beside)
            for place in waiting:
                # Searches of one index have the same question.
                if steps[place].path == beside.path:
                    steps[place] = _next(talks[place], known)
            continue
        raw = yield OpenSearchRequest(lines(SubSearch(headers[place], steps[place].body) for place in waiting), params)
        answers = _read(raw)
        if len(answers.each) != len(waiting):
            raise raw_json.Malformed(f"{len(answers.each)} answers to {len(waiting)} searches")
        for place, answer in zip(waiting, answers.each, strict=True):
            steps[place] = _next(talks[place], answer)
        top = {**top, **answers.top}
        took += _took(answers.top)
    return steps, top | {"took": msgspec.Raw(b"%d" % took)}


def joined(found: Stages, responses: Iterable[bytes]) -> bytes:
    """Write the answer to an `_msearch` from the answers to each of its searches, in order."""
    array = msgspec.Raw(b"[" + b",".join(responses) + b"]")
    return filtered(raw_json.joined({**(found.top or {}), "responses": array}), found.filters)


def _beside(ask: OpenSearchRequest) -> Flow[bytes | EngineRejected]:
    """Ask what goes into no `_msearch`."""
    try:
        return (yield ask)
    except EngineRejected as refused:
        return refused


def _next(talk: Flow[Result], answer: bytes | EngineRejected | None) -> OpenSearchRequest | Result | EngineRejected:
    try:
        return proceed(talk, answer)
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
