"""The rerank API as an application: the endpoints, the models, health, and a page without external resources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp

from sidecar.core.documents import PassageFields
from sidecar.serving.http.asgi import Exchange
from sidecar.serving.rerank_api import batch
from sidecar.serving.rerank_api.about import health_router, models_router
from sidecar.serving.rerank_api.dialect import Dialect
from sidecar.serving.rerank_api.endpoints import BATCH_PATH, ENDPOINTS, Endpoint, dialect_at, scores_at
from sidecar.serving.rerank_api.engine import RerankEngine
from sidecar.serving.rerank_api.handler import RequestHandler, broken, refused
from sidecar.serving.rerank_api.middleware import CALLER, IDENTITY, AccessPolicy, ApiMiddleware
from sidecar.serving.rerank_api.neutral import NEUTRAL
from sidecar.serving.rerank_api.page import page
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.rerank_api.request_rates import RequestRates
from sidecar.serving.rerank_api.schema import body_of, responses_of, schemas
from sidecar.serving.scorer.rate_limits import Unit
from sidecar.version import __version__

OPEN_PATHS = frozenset({"/", "/health", "/tei/health", "/openapi.json"})
# What a page of another origin may read of a response, besides its body.
EXPOSED = (
    *("X-Request-Id", "X-Opaque-Id", "Retry-After", "X-Compute-Tokens"),
    *(f"X-Rerank-{name}" for name in ("Status", "Reason", "Stage", "Calibrated", "Kept", "Dropped")),
    *(f"X-RateLimit-{name}-{unit.title()}" for name in ("Limit", "Remaining", "Reset") for unit in Unit),
)
DESCRIPTION = "Reranks passages in the shapes of Cohere, Jina, TEI, vLLM, NIM, Infinity, Voyage and Mixedbread."


class ExtraRouter(Protocol):
    """More endpoints on the same port, with their own dialect for their paths; `open_paths` need no key."""

    router: APIRouter
    dialect: Dialect

    open_paths: frozenset[str]

    def covers(self, path: str) -> bool:
        """True if the path is one of these endpoints."""
        ...


@dataclass(frozen=True, slots=True)
class _Paths:
    """The dialects and rights of paths; `extra` are the routers beside the dialects, `open` needs no key."""

    extra: Sequence[ExtraRouter]
    open: frozenset[str]

    def dialect(self, path: str) -> Dialect:
        """Return the dialect of errors."""
        return next((one.dialect for one in self.extra if one.covers(path)), None) or dialect_at(path)

    def is_extra(self, path: str) -> bool:
        """True if one of the extra routers has it."""
        return any(one.covers(path) for one in self.extra)

    def counts(self, path: str) -> bool:
        """True if a request to it counts against the caller's rate."""
        return path not in self.open and (scores_at(path) or self.is_extra(path))


def rerank_api(  # noqa: PLR0913  independent settings, by keyword
    engine: RerankEngine,
    *,
    fields: PassageFields,
    access: AccessPolicy = AccessPolicy(),  # noqa: B008  it is frozen
    cors_origins: Sequence[str] = (),
    extra: Sequence[ExtraRouter] = (),
    management: Callable[[Exchange], Awaitable[None]] | None = None,
) -> ASGIApp:
    """Build the application. `fields` names the fields of a document object that hold title and text.

    Pages of `cors_origins` may call it from a browser; `*` means every page. `management` answers the paths under
    `/_sidecar`.
    """
    paths = _Paths(extra, OPEN_PATHS.union(access.open_paths, *(one.open_paths for one in extra)))
    app = described()
    handler = RequestHandler(engine, fields)
    for endpoint in ENDPOINTS:
        _add(app, endpoint, handler)
    _add_batch(app, batch.BatchHandler(handler))
    # The extra routers come first: for `/v1/models/search` Lucene's knows whether that is an index.
    for router in [*(one.router for one in extra), models_router(engine), health_router(engine)]:
        app.include_router(router)
    _handle_errors(app, paths.dialect)
    middleware = ApiMiddleware(
        RequestRates(app, engine.service.rates, paths.counts, paths.dialect),
        replace(access, open_paths=paths.open),
        dialect_at=paths.dialect,
        verbatim=paths.is_extra,
        metrics=engine.metrics,
        management=management,
    )
    if not cors_origins:
        return middleware
    return CORSMiddleware(
        middleware,
        allow_origins=cors_origins,
        allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "Content-Type", "X-Sidecar-Api-Key", "X-Request-Id", "X-Opaque-Id"),
        expose_headers=EXPOSED,
    )


def _handle_errors(app: FastAPI, dialect_of: Callable[[str], Dialect]) -> None:
    """Have errors of the framework answered in the dialect of their path."""

    async def lost(request: Request, error: Exception) -> Response:
        dialect = dialect_of(request.scope["path"])
        if not isinstance(error, HTTPException) or error.status_code != 405:
            return refused(dialect, Problem(Fault.NOT_FOUND, "no such path; / lists what is here"))
        answer = refused(dialect, Problem(Fault.WRONG_METHOD, "another method; / lists what is here"))
        allow = (error.headers or {}).get("Allow", "")
        answer.headers["allow"] = allow.replace("GET", "GET, HEAD")
        return answer

    async def mistaken(request: Request, error: Exception) -> Response:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(map(str, first["loc"][1:]))
        problem = Problem(Fault.INVALID, f"{place}: {first['msg']}", param=place)
        return refused(dialect_of(request.scope["path"]), problem)

    async def failed(request: Request, error: Exception) -> Response:
        del error  # the middleware logs it
        return broken(dialect_of(request.scope["path"]))

    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(HTTPException, lost)
    app.add_exception_handler(RequestValidationError, mistaken)


def described() -> FastAPI:
    """Make an application that describes itself at `/openapi.json`, and for people at `/`."""
    app = FastAPI(
        title="rerank-sidecar",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # FastAPI's own pages load scripts from other servers
        redoc_url=None,
        redirect_slashes=False,
    )

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            found.setdefault("components", {}).setdefault("schemas", {}).update(schemas())
            app.openapi_schema = found
        return app.openapi_schema

    @app.get("/", include_in_schema=False)
    async def about(request: Request) -> HTMLResponse:
        return HTMLResponse(page(app.openapi(), str(request.base_url).rstrip("/")))

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _add(app: FastAPI, endpoint: Endpoint, handler: RequestHandler) -> None:
    async def answer(request: Request) -> Response:
        return await handler(endpoint, request, request.scope[IDENTITY], request.scope[CALLER])

    app.post(
        endpoint.path,
        summary=endpoint.summary,
        operation_id="post" + endpoint.path.replace("/", "_"),
        tags=[endpoint.operation.dialect.name],
        openapi_extra=body_of(endpoint),
        responses=responses_of([operation.dialect for operation in endpoint.operations]),
        response_class=JSONResponse,
    )(answer)


def _add_batch(app: FastAPI, handler: batch.BatchHandler) -> None:
    async def answer(request: Request) -> Response:
        return await handler(request, request.scope[IDENTITY], request.scope[CALLER])

    app.post(
        BATCH_PATH,
        summary="Several requests of the shared shape, each answered with a status of its own",
        operation_id="post" + BATCH_PATH.replace("/", "_"),
        tags=[NEUTRAL.name],
        openapi_extra=batch.DESCRIPTION,
        responses=responses_of([NEUTRAL]),
        response_class=JSONResponse,
    )(answer)
