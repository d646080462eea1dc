"""Drives a search flow inside the service: sends its requests to OpenSearch in the caller's name."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from connectors.opensearch.errors import rejection
from connectors.opensearch.flow.caller import caller_of
from connectors.opensearch.flow.driving import drive_async
from connectors.opensearch.flow.search_flow import Flow, OpenSearchRequest
from connectors.opensearch.rewrite.search_body import url_params
from sidecar.serving.http.headers import json_type, without
from sidecar.serving.http.off_loop import off_loop
from sidecar.serving.proxy.messages import Reply, Request
from sidecar.serving.proxy.routes import Kind
from sidecar.serving.proxy.search_request import SearchCall
from sidecar.serving.proxy.upstream import Upstream

Result = TypeVar("Result")


class FlowDriver:
    """Drives the flows of one search call, with the caller's own headers; `reply` is OpenSearch's last answer.

    `caller` is the key of the account that OpenSearch knows by these headers, `params` are the URL's.
    """

    def __init__(self, call: SearchCall, upstream: Upstream) -> None:
        self.params: dict[str, Any] = url_params(call.query)
        self.caller = caller_of(call.headers)
        self.reply = Reply(500, [], b"")
        self._call = call
        self._upstream = upstream
        self._headers = [
            *without(call.headers, b"content-length", b"content-encoding", b"accept-encoding"),
            (b"accept-encoding", b"identity"),
        ]
        if not any(name == b"content-type" for name, _ in self._headers):
            self._headers.append((b"content-type", json_type(self._headers)))

    async def drive(self, flow: Flow[Result]) -> Result:
        """Drive a flow to its end; the flow's own work on a large body is done off the event loop.

        Raises `EngineRejected` for an error answer that the flow does not handle, `UpstreamDown` or `UpstreamSlow`.
        """
        return await drive_async(flow, self._send, partial(off_loop, len(self._call.body.raw)))

    async def _send(self, request: OpenSearchRequest) -> bytes:
        if request.path is not None:
            headers = without(self._headers, b"content-type")
            read = Request("GET", request.path, headers, is_read=True, peer=self._call.peer)
            return _body(await self._upstream.fetch(read))
        call, query = self._call, self._call.query
        if request.params != self.params:
            query = urlencode(request.params)
        if request.body != call.body.raw and call.kind is Kind.SEARCH:
            # One preference for all pages of a search: two replicas may score a hit differently.
            query = urlencode({"preference": call.identity, **request.params})
        target = f"{call.path}?{query}" if query else call.path
        sent = Request(call.method, target, self._headers, request.body, is_read=True, peer=call.peer)
        self.reply = await self._upstream.fetch(sent, call.hold)
        return _body(self.reply)


def _body(reply: Reply) -> bytes:
    """Return the body of an answer. Raises `EngineRejected` for an error."""
    if not 200 <= reply.status < 300:
        refused = rejection(reply.status, reply.body.decode("utf-8", "replace"))
        refused.body = reply.body
        raise refused
    return reply.body
