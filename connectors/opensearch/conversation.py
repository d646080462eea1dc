"""The conversation with OpenSearch over one search: what to ask next, given its answers. Pure: it sends nothing.

Whoever drives it (a synchronous client, an asynchronous one, one item of an `_msearch`, a proxy) sends each `Ask` to
the search's own path (or reads from the path it names) with the search's own headers, and hands back the answer's bytes
or throws the refusal in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from connectors.opensearch import response, splice
from connectors.opensearch.request import Plan, Unranked, plan
from connectors.opensearch.response import Answer
from sidecar.candidates import FirstStage
from sidecar.documents import PassageFields
from sidecar.errors import EngineRejected

# Refusals that the caller's own, smaller search would meet just the same.
FINAL = {401, 403, 404, 502, 503, 504}
# How a rerank processor refuses a search without the ext.rerank that we took out: 500 in 2.19.1.
_LACKS_EXT = {400, 500}


@dataclass(frozen=True, slots=True)
class Ask:
    """One search to send: the body and the URL's parameters; or, where there is a `path`, what to GET beside it."""

    body: bytes
    params: Mapping[str, Any]
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Native:
    """What OpenSearch answered: its bytes, and if it can be reranked the plan behind it and its parts."""

    raw: bytes
    plan: Plan | None = None
    answer: Answer | None = None

    def documents(self) -> list[bytes]:
        """Each hit's `_source` as one line of JSON, null where there is none."""
        return [] if self.answer is None else response.sources(self.answer)


Result = TypeVar("Result")
# Asks, is sent the bytes of each answer (or has an `EngineRejected` thrown in), and returns its result.
Talk = Generator[Ask, bytes, Result]
Conversation = Talk[FirstStage[Native]]
# Tells, of a search's body and parameters, why it must go as it came, or None.
Overrule = Callable[[bytes, Mapping[str, Any]], Talk[str | None]]


def conversation(
    body: bytes,
    params: Mapping[str, Any],
    *,
    window: int,
    fields: PassageFields,
    overrule: Overrule | None = None,
) -> Conversation:
    """Search for the window; what can't be reranked is asked for as it came, and the reason is kept.

    So is what `overrule` has a reason against, with the caller's own `ext.rerank`. A search that OpenSearch refuses, or
    can't answer whole, once it is rewritten is replayed as it came. Ends with the `EngineRejected` thrown in where the
    caller's own search would have met it, too.
    """
    planned = plan(body, window=window, fields=fields, params=params)
    own = planned.body if isinstance(planned, Unranked) else planned.original
    if overrule is not None and (isinstance(planned, Plan) or own != body):
        reason = yield from overrule(body, params)
        if reason is not None:
            return skipped((yield Ask(body, params)), reason)
    if isinstance(planned, Unranked):
        return (yield from _as_it_came(body, own, params, planned.reason))
    try:
        raw = yield Ask(planned.body, planned.params)
    except EngineRejected as refusal:
        if refusal.status in FINAL:
            raise
        reason = f"OpenSearch refused the window: {refusal.message}"
        return (yield from _as_it_came(body, own, params, reason))
    try:
        answer = response.read(raw)
        found = response.candidates(answer, planned, fields)
    except splice.Malformed as malformed:
        reason = f"the response can't be reranked: {malformed}"
        return (yield from _as_it_came(body, own, params, reason))
    if answer.failed_shards:
        whole = yield Ask(own, params)
        if _failed_shards(whole) < answer.failed_shards:
            return skipped(whole, "some shards refused the window")
    return FirstStage(query=planned.query, candidates=found, native=Native(raw, planned, answer))


def _as_it_came(body: bytes, own: bytes, params: Mapping[str, Any], reason: str) -> Conversation:
    """Send the caller's own search: less our `ext.rerank`, unless a pipeline turns out to need that."""
    try:
        return skipped((yield Ask(own, params)), reason)
    except EngineRejected as refusal:
        if own == body or refusal.status not in _LACKS_EXT:
            raise
        try:
            return skipped((yield Ask(body, params)), "its search pipeline takes ext.rerank for itself")
        except EngineRejected:
            raise refusal from None


def proceed(talk: Talk[Result], answer: bytes | EngineRejected | None = None) -> Ask | Result:
    """Hand the last answer over (none at the beginning) and return what to ask next, or the result at the end.

    Raises the `EngineRejected` that the caller's own search met.
    """
    try:
        if isinstance(answer, EngineRejected):
            return talk.throw(answer)
        return next(talk) if answer is None else talk.send(answer)
    except StopIteration as end:
        result: Result = end.value
        return result


def drive(talk: Talk[Result], send: Callable[[Ask], bytes]) -> Result:
    """Hold a conversation to its end by a synchronous `send`."""
    step = proceed(talk)
    while isinstance(step, Ask):
        try:
            answer: bytes | EngineRejected = send(step)
        except EngineRejected as refused:
            answer = refused
        step = proceed(talk, answer)
    return step


async def drive_async(talk: Talk[Result], send: Callable[[Ask], Awaitable[bytes]]) -> Result:
    """Hold a conversation to its end by an asynchronous `send`."""
    step = proceed(talk)
    while isinstance(step, Ask):
        try:
            answer: bytes | EngineRejected = await send(step)
        except EngineRejected as refused:
            answer = refused
        step = proceed(talk, answer)
    return step


def skipped(raw: bytes, reason: str) -> FirstStage[Native]:
    """OpenSearch's own answer, not to be reranked, and why."""
    return FirstStage(query="", candidates=(), native=Native(raw), skipped=reason)


def _failed_shards(raw: bytes) -> int:
    try:
        return response.read(raw).failed_shards
    except splice.Malformed:
        return 0
