"""Information about the service: models, versions, health, metrics."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from sidecar.serving.rerank_api import tei
from sidecar.serving.rerank_api.engine import RerankEngine
from sidecar.serving.rerank_api.handler import refused
from sidecar.serving.rerank_api.neutral import NEUTRAL
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.scorer.protocol import USUAL_LENGTH
from sidecar.version import __version__


def models_router(engine: RerankEngine) -> APIRouter:
    """Answer which models requests may name, in OpenAI's shape and in TEI's."""
    router = APIRouter(tags=["about"])
    started = int(time.time())
    names = engine.models.listed

    def described(name: str) -> dict[str, Any]:
        own = {"object": "model", "created": started, "owned_by": "rerank-sidecar"}
        model = names[name]
        known = {"calibrated": engine.service.calibrated(model), **engine.service.scorers.described(model)}
        return {"id": name, **own, "root": model, **known}

    @router.get("/v1/models", summary="The models that requests may name, in OpenAI's shape")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [described(name) for name in names]}

    @router.get("/v1/models/{name:path}", summary="One of them", responses={404: {"description": "no such model"}})
    async def model(name: str) -> Response:
        if name not in names:
            message = f"there is no model {name[:80]!r} here; declared are {', '.join(names)}"
            return refused(NEUTRAL, Problem(Fault.UNKNOWN_MODEL, message, param="model"))
        return JSONResponse(described(name))

    @router.get("/info", summary="TEI's info")
    @router.get("/tei/info", summary="TEI's info")
    async def info() -> dict[str, Any]:
        default = engine.models.declared[0]
        loaded = engine.service.scorers.loaded(default)
        return tei.info(
            default,
            version=__version__,
            tokens=USUAL_LENGTH if loaded is None else loaded.max_length,
            max_documents=engine.limits.documents,
            max_requests=engine.limits.requests,
        )

    return router


def health_router(engine: RerankEngine) -> APIRouter:
    """Answer whether a model answers, and the metrics."""
    router = APIRouter(tags=["about"])
    scorers = engine.service.scorers

    @router.get("/health", summary="Whether a model answers", responses={503: {"description": "none does"}})
    async def health() -> JSONResponse:
        if scorers.ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": scorers.why_not_ready}, 503)

    @router.get("/tei/health", summary="TEI's health", responses={503: {"description": "no model answers"}})
    async def tei_health() -> Response:
        if scorers.ready:
            return Response()
        return refused(tei.TEI, Problem(Fault.UNAVAILABLE, scorers.why_not_ready))

    @router.get("/version", summary="vLLM's version: ours")
    async def version() -> dict[str, str]:
        return {"version": __version__}

    @router.get("/metrics", summary="Metrics for Prometheus, the same as /_sidecar/metrics")
    async def metrics() -> Response:
        return Response(engine.metrics.text(engine.service), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
