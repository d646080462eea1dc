"""Holding a conversation to its end: by a synchronous client, by an asynchronous one, or step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from connectors.opensearch.conversation import Ask, Result, Talk
from sidecar.errors import EngineRejected


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


async def drive_async(
    talk: Talk[Result],
    send: Callable[[Ask], Awaitable[bytes]],
    do: Callable[..., Awaitable[Ask | Result]] | None = None,
) -> Result:
    """Hold a conversation to its end by an asynchronous `send`.

    `do` calls a function with arguments for each step between two requests, elsewhere if it likes; without it they are
    done here.
    """
    do = do or _done_here
    step = await do(proceed, talk)
    while isinstance(step, Ask):
        try:
            answer: bytes | EngineRejected = await send(step)
        except EngineRejected as refused:
            answer = refused
        step = await do(proceed, talk, answer)
    return step


async def _done_here(work: Callable[..., Result], *arguments: object) -> Result:
    return work(*arguments)
