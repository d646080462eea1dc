"""`/v1/compare` and the files of `/ui`: routes, access, and errors."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.management_access import is_json, obstacle_to_change
from sidecar.serving.http.off_loop import off_loop
from sidecar.serving.http.request_body import unless_left
from sidecar.serving.rerank_api.dialect import Dialect
from sidecar.serving.rerank_api.engine import RequestLimits
from sidecar.serving.rerank_api.handler import refused, whole_body
from sidecar.serving.rerank_api.middleware import client_caller
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.ui import page_files
from sidecar.serving.ui.answer import written_out
from sidecar.serving.ui.comparer import Comparer
from sidecar.serving.ui.errors import FAILURES, as_json, failure
from sidecar.serving.ui.index_names import MOST_NAMES
from sidecar.serving.ui.request import ComparisonRequest, read_request

_PATH = re.compile(r"/v1/compare(/indexes)?|/ui(/.*)?")
_EXAMPLE = {"index": "docs", "query": "how long do fleas live", "rankings": [{"fusion": {"method": "linear"}}]}
_TOLD: dict[int | str, dict[str, Any]] = {
    200: {"description": "the first stage, and what became of each reranking"},
    400: {"description": "a part of the body is missing or of another kind, or the engine refused the search"},
    401: {"description": "the API key, or OpenSearch's account (then `engine_status` is there), is missing or wrong"},
    403: {"description": "a page of another origin, a caller without a key from elsewhere, or no right to the index"},
    404: {"description": "there is no such index or model"},
    413: {"description": "the body is too large"},
    415: {"description": "the body is not declared as application/json"},
    429: {"description": "too many bytes of requests are in memory"},
    502: {"description": "OpenSearch does not answer"},
    504: {"description": "OpenSearch did not answer in time"},
}


class CompareApi:
    """`/v1/compare`, `/v1/compare/indexes`, and the page at `/ui` that uses them.

    A comparison reads documents, so it has the access rules of a change: with a key everybody who has it; without one
    only this machine; never a page of another origin. `proxy_port` is the OpenSearch port, for commands to copy.
    """

    def __init__(
        self,
        comparer: Comparer,
        limits: RequestLimits,
        *,
        keyed: bool,
        allowed_hosts: Collection[str],
        proxy_port: int,
    ) -> None:
        self.comparer = comparer
        self.limits = limits
        self.keyed = keyed
        self.allowed_hosts = allowed_hosts
        self.proxy_port = proxy_port
        self.dialect = Dialect("compare", _tell, {Fault.INVALID: 400})
        self.open_paths = frozenset({"/ui", "/ui/", *(f"/ui/{name}" for name in page_files.NAMES)})
        self.router = self._router()

    def covers(self, path: str) -> bool:
        """True if a path is answered here."""
        return _PATH.fullmatch(path) is not None

    def _router(self) -> APIRouter:
        router = APIRouter(tags=["compare"])

        @router.get("/v1/compare", summary="What can be compared: engines, indexes, models", responses=_TOLD)
        async def offered(request: Request) -> Response:
            return self._refusal(request) or as_json(self._offered())

        @router.get(
            "/v1/compare/indexes", summary="The indexes of OpenSearch that the caller may list", responses=_TOLD
        )
        async def indexes(request: Request) -> Response:
            return self._refusal(request) or await self._indexes(request)

        @router.post(
            "/v1/compare",
            summary="One search, its first stage and rerankings of it, in one response",
            responses=_TOLD,
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"example": _EXAMPLE}}}},
        )
        async def compare(request: Request) -> Response:
            return await self._answered(request)

        for path in ("/ui", "/ui/", "/ui/{name:path}"):
            router.add_api_route(path, page_files.answer, include_in_schema=False)
        return router

    def _offered(self) -> dict[str, Any]:
        """Return what a comparison may name, and the defaults of what it does not name."""
        own, service = self.comparer, self.comparer.service
        models = [
            {"name": name, "fusion": written_out(service.fusion(name)), "calibrated": service.mapping(name).calibrated}
            for name in own.names.declared
        ]
        chosen = own.options.fusion
        return {
            "engines": list(own.engines),
            "lucene_indexes": list(own.lucene_indexes),
            "models": models,
            "fusion": None if chosen is None else written_out(chosen),
            "generator": self._generator(),
            "window": own.options.window,
            "proxy_port": self.proxy_port,
            "document_fields": list(own.options.fields.all),
        }

    def _generator(self) -> dict[str, Any] | None:
        """Describe the generator of stage two, None if there is none."""
        own, options = self.comparer.service.stage_two, self.comparer.options
        return None if own is None else {"name": own.name, "depth": own.spec.depth, "by_default": options.listwise}

    async def _indexes(self, request: Request) -> Response:
        """Return the names that the caller may search; a list that OpenSearch refuses is empty."""
        exchange = _exchange(request)
        try:
            with self.limits.held.hold(exchange.peer) as hold:
                names = await unless_left(request.receive, self.comparer.list_indexes(exchange, hold))
        except FAILURES as error:
            return failure(error)
        return as_json({"opensearch_indexes": names[:MOST_NAMES], "left_out": max(0, len(names) - MOST_NAMES)})

    def _refusal(self, request: Request) -> Response | None:
        obstacle = obstacle_to_change(_exchange(request), self.keyed, self.allowed_hosts, doing="compare")
        return None if not obstacle else as_json({"error": obstacle}, 403)

    async def _answered(self, request: Request) -> Response:
        exchange = _exchange(request)
        refusal = self._refusal(request)
        if refusal is None and not is_json(exchange):
            refusal = as_json({"error": "send application/json"}, 415)
        if refusal is not None:
            return refusal
        try:
            return await self._compared(request, exchange)
        except Problem as problem:
            return refused(self.dialect, problem)
        except FAILURES as error:
            return failure(error)

    async def _compared(self, request: Request, exchange: Exchange) -> Response:
        with self.limits.held.hold(exchange.peer) as hold:
            raw = await whole_body(request, self.limits, hold)
            asked: ComparisonRequest = await off_loop(len(raw), read_request, raw)
            work = self.comparer.compare(asked, exchange, hold, client=client_caller(request.scope))
            found = await unless_left(request.receive, work)
            passages = sum(len(hit.text) for hit in found.hits)
            return Response(await off_loop(passages, msgspec.json.encode, found), media_type="application/json")


def _exchange(request: Request) -> Exchange:
    return Exchange.of(request.scope, request.receive, request._send)  # noqa: SLF001  starlette keeps it there


def _tell(status: int, problem: Problem) -> dict[str, str]:
    del status
    return {"error": problem.message}
