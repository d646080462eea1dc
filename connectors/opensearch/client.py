"""The in-process doors: opensearch-py clients whose `search` and `msearch` rerank; they decide nothing themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from opensearchpy import OpenSearch

from connectors.opensearch.connector import AsyncOpenSearchConnector, OpenSearchConnector
from connectors.opensearch.flow.reranked import MultiReranked, Reranked, rank, rank_all, reranked, together
from connectors.opensearch.requests import MultiSearchRequest, SearchRequest, multi_search_request, search_request
from connectors.opensearch.rewrite.request import WINDOW, Hydrate
from sidecar.core.candidates import Ranks
from sidecar.core.documents import PassageFields

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch  # there with aiohttp alone


class RerankingClient:
    """A user's `OpenSearch` client with a reranking `search` and `msearch`; everything else is that client's own.

    `window` hits are reranked for each search that does not name a window of its own. Highlights and
    script fields are computed for the page alone, by a second request; `hydrate="window"` makes it one request.
    """

    def __init__(
        self,
        client: OpenSearch,
        reranker: Ranks,
        *,
        window: int = WINDOW,
        fields: PassageFields | None = None,
        hydrate: Hydrate = "page",
    ) -> None:
        self.client = client
        self.reranker = reranker
        self.window = window
        self.connector = OpenSearchConnector(client, fields, hydrate)

    def rerank(self, request: SearchRequest) -> Reranked:
        """Search and rerank. Raises an `EngineError`, or what the reranker raises."""
        first_stage = self.connector.fetch(request)
        ranking = rank(self.reranker, first_stage)
        return reranked(first_stage, ranking, self.connector.finish(request, first_stage, ranking))

    def rerank_all(self, request: MultiSearchRequest) -> MultiReranked:
        """Search and rerank several times at once. Raises as `rerank` does; one search that fails, fails alone."""
        found = self.connector.fetch_all(request)
        rankings = rank_all(self.reranker, found)
        return together(found, rankings, self.connector.finish_all(request, found, rankings))

    def search(self, **arguments: Any) -> Any:
        """Do what `OpenSearch.search` does, with its arguments, and rerank; `window` is one more of them."""
        return _decoded(self.client, self.search_raw(**arguments))

    def search_raw(self, **arguments: Any) -> bytes:
        """As `search`, but the response is OpenSearch's bytes: `0.10` stays `0.10`."""
        return self.rerank(search_request(self.window, **arguments)).body

    def msearch(self, **arguments: Any) -> Any:
        """Do what `OpenSearch.msearch` does, and rerank each search; `window` is one more argument."""
        return _decoded(self.client, self.msearch_raw(**arguments))

    def msearch_raw(self, **arguments: Any) -> bytes:
        """As `msearch`, but the response is OpenSearch's bytes."""
        return self.rerank_all(multi_search_request(self.window, **arguments)).body

    def __getattr__(self, name: str) -> Any:
        if name == "client":  # not there yet while a copy is being made
            raise AttributeError(name)
        return getattr(self.client, name)


class AsyncRerankingClient:
    """As `RerankingClient`, around an `AsyncOpenSearch`: what searches is to be awaited.

    The model scores in a thread, so that the event loop goes on meanwhile.
    """

    def __init__(
        self,
        client: AsyncOpenSearch,
        reranker: Ranks,
        *,
        window: int = WINDOW,
        fields: PassageFields | None = None,
        hydrate: Hydrate = "page",
    ) -> None:
        self.client = client
        self.reranker = reranker
        self.window = window
        self.connector = AsyncOpenSearchConnector(client, fields, hydrate)

    async def rerank(self, request: SearchRequest) -> Reranked:
        """Search and rerank. Raises an `EngineError`, or what the reranker raises."""
        first_stage = await self.connector.fetch(request)
        ranking = await asyncio.to_thread(rank, self.reranker, first_stage)
        return reranked(first_stage, ranking, await self.connector.finish(request, first_stage, ranking))

    async def rerank_all(self, request: MultiSearchRequest) -> MultiReranked:
        """Search and rerank several times at once. Raises as `rerank` does; one search that fails, fails alone."""
        found = await self.connector.fetch_all(request)
        rankings = await asyncio.to_thread(rank_all, self.reranker, found)
        return together(found, rankings, await self.connector.finish_all(request, found, rankings))

    async def search(self, **arguments: Any) -> Any:
        """Do what `AsyncOpenSearch.search` does, with its arguments, and rerank; `window` is one more of them."""
        return _decoded(self.client, await self.search_raw(**arguments))

    async def search_raw(self, **arguments: Any) -> bytes:
        """As `search`, but the response is OpenSearch's bytes: `0.10` stays `0.10`."""
        return (await self.rerank(search_request(self.window, **arguments))).body

    async def msearch(self, **arguments: Any) -> Any:
        """Do what `AsyncOpenSearch.msearch` does, and rerank each search; `window` is one more argument."""
        return _decoded(self.client, await self.msearch_raw(**arguments))

    async def msearch_raw(self, **arguments: Any) -> bytes:
        """As `msearch`, but the response is OpenSearch's bytes."""
        return (await self.rerank_all(multi_search_request(self.window, **arguments))).body

    def __getattr__(self, name: str) -> Any:
        if name == "client":  # not there yet while a copy is being made
            raise AttributeError(name)
        return getattr(self.client, name)


def _decoded(client: Any, raw: bytes) -> Any:
    return client.transport.deserializer.loads(raw.decode("utf-8", "surrogatepass"), "application/json")
