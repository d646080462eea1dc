"""opensearch-py clients whose `search` and `msearch` rerank, in the process of their user."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opensearchpy import OpenSearch

from connectors.opensearch.connector import AsyncOpenSearchConnector, OpenSearchConnector
from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.msearch_flow import Stages
from connectors.opensearch.flow.search_flow import NativeResponse
from connectors.opensearch.requests import MultiSearchRequest, SearchRequest, multi_search_request, search_request
from connectors.opensearch.rewrite.request import WINDOW, FetchPhase
from sidecar.core.candidates import FirstStage, Ranking, Ranks, fields_of
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch  # there with aiohttp alone


@dataclass(frozen=True, slots=True)
class Reranked:
    """A search's answer: OpenSearch's response as bytes, and its ranking or the reason why there is none.

    `window` is how many of the first hits were candidates, which an index may have made less than was asked for.
    `fields` are those that title and text were read from; `warning` says what to know about them, None if nothing.
    """

    body: bytes
    ranking: Ranking | None
    skipped: str | None
    window: int | None = None
    fields: tuple[str, ...] = ()
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class MultiReranked:
    """The answer to several searches, and each search's own; none if they could not be told apart (`skipped`)."""

    body: bytes
    searches: tuple[Reranked, ...]
    skipped: str | None


class RerankingClient:
    """A user's `OpenSearch` client with a reranking `search` and `msearch`; everything else is that client's own.

    `window` hits are reranked for each search that does not name a window of its own. Highlights and script fields are
    computed for the page alone, by a second request; with `fetch_phase="window"` there is one request.
    """

    def __init__(
        self,
        client: OpenSearch,
        reranker: Ranks,
        *,
        window: int = WINDOW,
        fields: PassageFields | None = None,
        fetch_phase: FetchPhase = "page",
    ) -> None:
        self.client = client
        self.reranker = reranker
        self.window = window
        self.connector = OpenSearchConnector(client, fields, fetch_phase)

    def rerank(self, request: SearchRequest) -> Reranked:
        """Search and rerank. Raises an `EngineError`, or what the reranker raises."""
        first_stage = self.connector.fetch(request)
        ranking = _rank(self.reranker, first_stage)
        return _reranked(first_stage, ranking, self.connector.finish(request, first_stage, ranking))

    def rerank_all(self, request: MultiSearchRequest) -> MultiReranked:
        """Search and rerank several times at once. Raises as `rerank` does; one failed search leaves the others."""
        found = self.connector.fetch_all(request)
        rankings = _rank_all(self.reranker, found)
        return _joined(found, rankings, self.connector.finish_all(request, found, rankings))

    def search(self, **arguments: Any) -> Any:
        """Do what `OpenSearch.search` does, with its arguments, and rerank; `window` is one more of them."""
        return _decoded(self.client, self.rerank(search_request(self.window, **arguments)).body)

    def search_raw(self, **arguments: Any) -> bytes:
        """As `search`, but the response is OpenSearch's bytes: `0.10` stays `0.10`."""
        return self.rerank(search_request(self.window, **arguments)).body

    def msearch(self, **arguments: Any) -> Any:
        """Do what `OpenSearch.msearch` does, and rerank each search; `window` is one more argument."""
        return _decoded(self.client, self.rerank_all(multi_search_request(self.window, **arguments)).body)

    def msearch_raw(self, **arguments: Any) -> bytes:
        """As `msearch`, but the response is OpenSearch's bytes."""
        return self.rerank_all(multi_search_request(self.window, **arguments)).body

    def __getattr__(self, name: str) -> Any:
        if name == "client":  # not there yet while a copy is being made
            raise AttributeError(name)
        return getattr(self.client, name)


class AsyncRerankingClient:
    """As `RerankingClient`, around an `AsyncOpenSearch`: the searching methods are to be awaited.

    The model scores in a thread, so the event loop goes on meanwhile.
    """

    def __init__(
        self,
        client: AsyncOpenSearch,
        reranker: Ranks,
        *,
        window: int = WINDOW,
        fields: PassageFields | None = None,
        fetch_phase: FetchPhase = "page",
    ) -> None:
        self.client = client
        self.reranker = reranker
        self.window = window
        self.connector = AsyncOpenSearchConnector(client, fields, fetch_phase)

    async def rerank(self, request: SearchRequest) -> Reranked:
        """Search and rerank. Raises an `EngineError`, or what the reranker raises."""
        first_stage = await self.connector.fetch(request)
        ranking = await asyncio.to_thread(_rank, self.reranker, first_stage)
        return _reranked(first_stage, ranking, await self.connector.finish(request, first_stage, ranking))

    async def rerank_all(self, request: MultiSearchRequest) -> MultiReranked:
        """Search and rerank several times at once. Raises as `rerank` does; one failed search leaves the others."""
        found = await self.connector.fetch_all(request)
        rankings = await asyncio.to_thread(_rank_all, self.reranker, found)
        return _joined(found, rankings, await self.connector.finish_all(request, found, rankings))

    async def search(self, **arguments: Any) -> Any:
        """Do what `AsyncOpenSearch.search` does, with its arguments, and rerank; `window` is one more of them."""
        return _decoded(self.client, (await self.rerank(search_request(self.window, **arguments))).body)

    async def search_raw(self, **arguments: Any) -> bytes:
        """As `search`, but the response is OpenSearch's bytes: `0.10` stays `0.10`."""
        return (await self.rerank(search_request(self.window, **arguments))).body

    async def msearch(self, **arguments: Any) -> Any:
        """Do what `AsyncOpenSearch.msearch` does, and rerank each search; `window` is one more argument."""
        return _decoded(self.client, (await self.rerank_all(multi_search_request(self.window, **arguments))).body)

    async def msearch_raw(self, **arguments: Any) -> bytes:
        """As `msearch`, but the response is OpenSearch's bytes."""
        return (await self.rerank_all(multi_search_request(self.window, **arguments))).body

    def __getattr__(self, name: str) -> Any:
        if name == "client":  # not there yet while a copy is being made
            raise AttributeError(name)
        return getattr(self.client, name)


def _rank(reranker: Ranks, stage: FirstStage[NativeResponse] | EngineRejected) -> Ranking | None:
    """Rank a search's candidates; None for a search that is skipped or was refused. Raises what the reranker raises."""
    if isinstance(stage, EngineRejected) or stage.skipped is not None:
        return None
    return reranker.rank_candidates(stage.query, stage.candidates)


def _rank_all(reranker: Ranks, found: Stages) -> list[Ranking | None]:
    """Rank each of several searches for itself."""
    return [_rank(reranker, stage) for stage in found.stages]


def _reranked(stage: FirstStage[NativeResponse] | EngineRejected, ranking: Ranking | None, body: bytes) -> Reranked:
    """Sum up one search."""
    if isinstance(stage, EngineRejected):
        return Reranked(body, ranking, stage.message)
    plan = stage.native.plan
    window = None if plan is None else plan.window
    return Reranked(body, ranking, stage.skipped, window, fields_of(stage.candidates), stage.native.warning or None)


def _joined(found: Stages, rankings: Sequence[Ranking | None], bodies: Sequence[bytes]) -> MultiReranked:
    """Join the answers of several searches."""
    if found.whole is not None:
        return MultiReranked(found.whole, (), found.skipped)
    each = tuple(_reranked(*answer) for answer in zip(found.stages, rankings, bodies, strict=True))
    return MultiReranked(msearch_flow.joined(found, bodies), each, None)


def _decoded(client: Any, raw: bytes) -> Any:
    return client.transport.deserializer.loads(raw.decode("utf-8", "surrogatepass"), "application/json")
