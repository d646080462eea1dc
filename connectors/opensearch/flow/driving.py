"""Drivers of a search flow: a synchronous one, an asynchronous one, and a single step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from connectors.opensearch.flow.search_flow import Flow, OpenSearchRequest, Result
from sidecar.core.errors import EngineRejected


def proceed(flow: Flow[Result], answer: bytes | EngineRejected | None = None) -> OpenSearchRequest | Result:
    """Hand the last answer over (None at the start); return the next request, or the result at the end.

    Raises the `EngineRejected` that the caller's own search met.
    """
    try:
        if isinstance(answer, EngineRejected):
            return flow.throw(answer)
        return next(flow) if answer is None else flow.send(answer)
    except StopIteration as end:
        result: Result = end.value
        return result


def drive(flow: Flow[Result], send: Callable[[OpenSearchRequest], bytes]) -> Result:
    """Drive a flow to its end by a synchronous `send`."""
    step = proceed(flow)
    while isinstance(step, OpenSearchRequest):
        try:
            answer: bytes | EngineRejected = send(step)
        except EngineRejected as refused:
            answer = refused
        step = proceed(flow, answer)
    return step


async def drive_async(
    flow: Flow[Result],
    send: Callable[[OpenSearchRequest], Awaitable[bytes]],
    do: Callable[..., Awaitable[OpenSearchRequest | Result]] | None = None,
) -> Result:
    """Drive a flow to its end by an asynchronous `send`.

    `do` calls a function with its arguments, for each step between two requests; it may do so in another thread.
    Without `do` the steps run here.
    """
    do = do or _done_here
    step = await do(proceed, flow)
    while isinstance(step, OpenSearchRequest):
        try:
            answer: bytes | EngineRejected = await send(step)
        except EngineRejected as refused:
            answer = refused
        step = await do(proceed, flow, answer)
    return step


async def _done_here(work: Callable[..., Result], *arguments: object) -> Result:
    return work(*arguments)
