"""Driving a search flow inside the service: its own work on a large body is done off the event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from connectors.opensearch.flow.driving import drive_async
from connectors.opensearch.flow.search_flow import Flow, OpenSearchRequest
from sidecar.serving.http.off_loop import off_loop

Result = TypeVar("Result")


async def drive(flow: Flow[Result], send: Callable[[OpenSearchRequest], Awaitable[bytes]], size: int) -> Result:
    """Drive a flow about a body of `size` bytes to its end."""
    return await drive_async(flow, send, partial(off_loop, size))
