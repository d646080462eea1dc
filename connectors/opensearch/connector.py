"""The two verbs on OpenSearch: fetch a window of hits, respond with OpenSearch's own answer in a better order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opensearchpy import OpenSearch

from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.driving import drive, drive_async
from connectors.opensearch.flow.msearch_flow import Stages
from connectors.opensearch.flow.search_flow import Flow, NativeResponse, Result, finish
from connectors.opensearch.requests import MultiSearchRequest, SearchFlows, SearchRequest, call
from connectors.opensearch.respond import response
from connectors.opensearch.rewrite.request import Hydrate
from connectors.opensearch.transport import send, send_async
from sidecar.core.candidates import FirstStage, Ranking
from sidecar.core.documents import PassageFields

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch  # there with aiohttp alone

__all__ = ["AsyncOpenSearchConnector", "MultiSearchRequest", "OpenSearchConnector", "SearchRequest"]


class OpenSearchConnector:
    """OpenSearch behind `fetch` and `respond`; the client stays the user's own and unchanged.

    `fields` says where a document's title and text are, by dotted path. With `hydrate="page"` highlights and script
    fields are left to `finish`, which asks for those of the page; `respond` gives the page without them.
    """

    def __init__(self, client: OpenSearch, fields: PassageFields | None = None, hydrate: Hydrate = "window") -> None:
        self.client = client
        self.talks = SearchFlows(client.transport.serializer, fields, hydrate)

    def fetch(self, request: SearchRequest) -> FirstStage[NativeResponse]:
        """Search for the window. What can't be reranked is answered as OpenSearch answers it, with the reason.

        Raises `EngineUnreachable`, or `EngineRejected` (`MissingIndex` for an unknown index) with OpenSearch's message.
        """
        return self._drive(request, self.talks.search(request))

    def respond(self, first_stage: FirstStage[NativeResponse], ranking: Ranking) -> bytes:
        """Cut the page the caller asked for out of OpenSearch's answer, in the ranking's order."""
        return respond(first_stage, ranking)

    def finish(self, request: SearchRequest, first_stage: FirstStage[NativeResponse], ranking: Ranking | None) -> bytes:
        """As `respond`, with all that the page's hits still lack. Raises as `fetch` does."""
        return self._drive(request, finish(first_stage, ranking))

    def fetch_all(self, request: MultiSearchRequest) -> Stages:
        """As `fetch`, for several searches at once; one that fails is its refusal, and the others go on."""
        return self._drive(request, self.talks.searches(request))

    def finish_all(self, request: MultiSearchRequest, found: Stages, rankings: Sequence[Ranking | None]) -> list[bytes]:
        """As `finish`, for several searches at once."""
        return self._drive(request, msearch_flow.finish(found, rankings))

    def _drive(self, request: SearchRequest | MultiSearchRequest, talk: Flow[Result]) -> Result:
        return drive(talk, lambda ask: send(self.client, call(request, ask)))


class AsyncOpenSearchConnector:
    """As `OpenSearchConnector`, through an asynchronous client: all but `respond` is to be awaited."""

    def __init__(
        self, client: AsyncOpenSearch, fields: PassageFields | None = None, hydrate: Hydrate = "window"
    ) -> None:
        self.client = client
        self.talks = SearchFlows(client.transport.serializer, fields, hydrate)

    async def fetch(self, request: SearchRequest) -> FirstStage[NativeResponse]:
        """Search for the window. Raises as `OpenSearchConnector.fetch` does."""
        return await self._drive(request, self.talks.search(request))

    def respond(self, first_stage: FirstStage[NativeResponse], ranking: Ranking) -> bytes:
        """Cut the page the caller asked for out of OpenSearch's answer, in the ranking's order."""
        return respond(first_stage, ranking)

    async def finish(
        self, request: SearchRequest, first_stage: FirstStage[NativeResponse], ranking: Ranking | None
    ) -> bytes:
        """As `respond`, with all that the page's hits still lack."""
        return await self._drive(request, finish(first_stage, ranking))

    async def fetch_all(self, request: MultiSearchRequest) -> Stages:
        """Search for several windows at once."""
        return await self._drive(request, self.talks.searches(request))

    async def finish_all(
        self, request: MultiSearchRequest, found: Stages, rankings: Sequence[Ranking | None]
    ) -> list[bytes]:
        """As `finish`, for several searches at once."""
        return await self._drive(request, msearch_flow.finish(found, rankings))

    async def _drive(self, request: SearchRequest | MultiSearchRequest, talk: Flow[Result]) -> Result:
        return await drive_async(talk, lambda ask: send_async(self.client, call(request, ask)))


def respond(first_stage: FirstStage[NativeResponse], ranking: Ranking) -> bytes:
    """Cut a page out of OpenSearch's answer, which stays as it is where it can't be reranked."""
    native = first_stage.native
    if native.plan is None or native.answer is None:
        return native.raw
    return response.respond(native.answer, native.plan, ranking)
