"""Lucene indexes over HTTP in the shapes of Pyserini's own server, reranked. The JVM runs in this process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
from connectors.pyserini.hits import rest_response
from connectors.pyserini.index import LuceneIndex
from sidecar.core.candidates import Ranking
from sidecar.core.documents import PassageFields, json_object
from sidecar.core.errors import EngineError, InputError, RateLimited
from sidecar.core.reasons import Reason, Why
from sidecar.serving.http.headers import header_text
from sidecar.serving.proxy.rerank_options import RerankOptions
from sidecar.serving.proxy.search_handler import cut_of, stage_of
from sidecar.serving.rerank_api.dialect import Dialect
from sidecar.serving.rerank_api.handler import refused
from sidecar.serving.rerank_api.json_body import written
from sidecar.serving.rerank_api.middleware import CALLER
from sidecar.serving.rerank_api.problem import Fault, Problem, over_the_rate
from sidecar.serving.scorer.service import Outcome, RerankingService, Status

_PATH = re.compile(r"/v1/[^/]+/(search|doc/.*)")
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "the query is empty, or Lucene can't search for it"},
    404: {"description": "there is no such index or document"},
    413: {"description": "reranking takes more tokens than a minute allows, and that counts as an error"},
    429: {
        "description": "the caller's requests of this minute are used up, or their tokens and that counts as an error"
    },
    503: {"description": "Lucene failed, or reranking failed and that counts as an error"},
}
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class OpenIndexes:
    """An index and the reader of its hits."""

    index: LuceneIndex
    connector: PyseriniConnector


def open_indexes(paths: Mapping[str, Path], fields: PassageFields, *, k1: float, b: float) -> dict[str, OpenIndexes]:
    """Open each index by its name; starts the JVM. Raises what `LuceneIndex` raises."""
    found = {}
    for name, path in paths.items():
        index = LuceneIndex(path, k1=k1, b=b)
        found[name] = OpenIndexes(index, PyseriniConnector(index, fields))
    return found


class LuceneApi:
    """`GET /v1/{index}/search` and `GET /v1/{index}/doc/{docid}`; `terms` are the options of every search.

    If reranking fails the answer is Lucene's own, or an error, depending on `terms`.
    """

    def __init__(self, indexes: Mapping[str, OpenIndexes], service: RerankingService, terms: RerankOptions) -> None:
        self.indexes = indexes
        self.service = service
        self.terms = terms
        self.dialect = Dialect("lucene", _tell, {Fault.INVALID: 400})
        self.router = self._router()
        self.open_paths: frozenset[str] = frozenset()
        # The threads are kept: each one that calls Java must be attached to the JVM once.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="lucene")

    def covers(self, path: str) -> bool:
        """True if a path is answered here."""
        return _PATH.fullmatch(path) is not None

    def close(self) -> None:
        """Wait for the searches to end, and close the indexes."""
        self._threads.shutdown()
        for opened in self.indexes.values():
            opened.index.close()

    def _router(self) -> APIRouter:
        router = APIRouter(tags=["lucene"])

        @router.get("/v1/{index}/search", summary="BM25, reranked, in Pyserini's shape", responses=_RESPONSES)
        async def search(
            request: Request,
            index: str,
            query: str = "",
            hits: Annotated[int, Query(ge=1, le=10_000)] = 10,
            *,
            parse: bool = True,
        ) -> Response:
            return await self._answered(self._search(index, query, hits, parse=parse, caller=request.scope[CALLER]))

        @router.get("/v1/{index}/doc/{docid:path}", summary="A stored document", responses=_RESPONSES)
        async def doc(index: str, docid: str) -> Response:
            return await self._answered(self._doc(index, docid))

        return router

    async def _answered(self, answer: Awaitable[Response]) -> Response:
        try:
            found = await answer
        except Problem as problem:
            return refused(self.dialect, problem)
        except InputError as error:
            return refused(self.dialect, Problem(Fault.INVALID, error.message))
        except EngineError as error:
            return refused(self.dialect, Problem(Fault.UNAVAILABLE, error.message))
        return found

    def _opened(self, name: str) -> OpenIndexes:
        if name not in self.indexes:
            raise Problem(Fault.NOT_FOUND, f"there is no index {name[:80]!r} here; there are {', '.join(self.indexes)}")
        return self.indexes[name]

    async def in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Run work in a thread that may call the JVM."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _search(self, name: str, query: str, hits: int, *, parse: bool, caller: str) -> Response:
        connector, terms = self._opened(name).connector, self.terms
        first_stage = await self.in_thread(connector.fetch, LuceneRequest(query, hits, terms.window))
        outcome = await self._ranked(query, first_stage.candidates, caller)
        if outcome.status is Status.FAILED and terms.on_failure == "error":
            raise _failed(outcome)
        found = connector.respond(first_stage, outcome.ranking or Ranking(query, (), {}))
        answer = rest_response(name, query, found)
        if not parse:
            for hit, candidate in zip(found, _candidates(answer), strict=True):
                candidate["doc"] = hit.raw
        return Response(written(answer), headers=_said(outcome), media_type="application/json")

    async def _ranked(self, query: str, candidates: Sequence[Any], caller: str) -> Outcome:
        if not candidates:
            return Outcome(Status.SKIPPED, Why(Reason.NO_HITS, "there are no hits"))
        terms = self.terms
        return await self.service.rank(
            query,
            candidates,
            model=terms.model,
            fusion=terms.fusion,
            seconds=terms.seconds,
            min_relevance=terms.min_relevance,
            listwise=terms.listwise,
            caller=caller,
        )

    async def _doc(self, name: str, docid: str) -> Response:
        hit = await self.in_thread(self._opened(name).index.doc, docid)
        if hit is None:
            raise Problem(Fault.NOT_FOUND, f"index {name} has no document {docid[:80]!r}")
        record = json_object(hit.raw) if hit.raw is not None else None
        answer = {"api": "v1", "index": name, "docid": docid, "doc": hit.raw if record is None else record}
        return Response(written(answer), media_type="application/json")


def _candidates(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer["candidates"]
    return found


def _said(outcome: Outcome) -> dict[str, str]:
    """Return the headers that report the outcome of a reranking."""
    said = {"x-rerank-status": outcome.status.value}
    if outcome.reason:
        said["x-rerank-reason"] = header_text(outcome.words)
    return said | {f"x-rerank-{name}": str(value) for name, value in (cut_of(outcome) | stage_of(outcome)).items()}


def _failed(outcome: Outcome) -> Problem:
    """Return a failed reranking as a problem. Clients send a request again at once on 503, and not on 429."""
    words, why = f"reranking failed: {outcome.words}", outcome.reason
    if why is None or why.reason is not Reason.RATE_LIMITED:
        return Problem(Fault.UNAVAILABLE, words)
    return over_the_rate(RateLimited(words, retry_after=why.retry_after))


def _tell(status: int, problem: Problem) -> dict[str, str]:
    del status
    return {"error": problem.message}
