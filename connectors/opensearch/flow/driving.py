"""Holding a conversation to its end: by a synchronous client, by an asynchronous one, or step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from connectors.opensearch.flow.search_flow import Flow, OpenSearchRequest, Result
from sidecar.core.errors import EngineRejected


def proceed(talk: Flow[Result], answer: bytes | EngineRejected | None = None) -> OpenSearchRequest | Result:
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


def drive(talk: Flow[Result], send: Callable[[OpenSearchRequest], bytes]) -> Result:
    """Hold a conversation to its end by a synchronous `send`."""
    step = proceed(talk)
    while isinstance(step, OpenSearchRequest):
        try:
            answer: bytes | EngineRejected = send(step)
        except EngineRejected as refused:
            answer = refused
        step = proceed(talk, answer)
    return step


async def drive_async(
    talk: Flow[Result],
    send: Callable[[OpenSearchRequest], Awaitable[bytes]],
    do: Callable[..., Awaitable[OpenSearchRequest | Result]] | None = None,
) -> Result:
    """Hold a conversation to its end by an asynchronous `send`.

    `do` calls a function with arguments for each step between two requests, elsewhere if it likes; without it they are
    done here.
    """
    do = do or _done_here
    step = await do(proceed, talk)
    while isinstance(step, OpenSearchRequest):
        try:
            answer: bytes | EngineRejected = await send(step)
        except EngineRejected as refused:
            answer = refused
        step = await do(proceed, talk, answer)
    return step


async def _done_here(work: Callable[..., Result], *arguments: object) -> Result:
    return work(*arguments)
