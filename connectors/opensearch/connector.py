"""The two verbs on OpenSearch: fetch a window of hits, respond with OpenSearch's own answer in a better order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensearchpy import OpenSearch

from connectors.opensearch import client as wire
from connectors.opensearch import response
from connectors.opensearch.conversation import Native, drive, drive_async
from connectors.opensearch.msearch import Stages
from connectors.opensearch.talks import MultiSearchRequest, SearchRequest, Talks, call
from sidecar.candidates import FirstStage, Ranking
from sidecar.documents import PassageFields

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch  # there with aiohttp alone

__all__ = ["AsyncOpenSearchConnector", "MultiSearchRequest", "OpenSearchConnector", "SearchRequest"]


class OpenSearchConnector:
    """OpenSearch behind `fetch` and `respond`; the client stays the user's own and unchanged.

    `fields` says where a document's title and text are, by dotted path.
    """

    def __init__(self, client: OpenSearch, fields: PassageFields | None = None) -> None:
        self.client = client
        self.talks = Talks(client.transport.serializer, fields)

    def fetch(self, request: SearchRequest) -> FirstStage[Native]:
        """Search for the window. What can't be reranked is answered as OpenSearch answers it, with the reason.

        Raises `EngineUnreachable`, or `EngineRejected` (`MissingIndex` for an unknown index) with OpenSearch's message.
        """
        return drive(self.talks.search(request), lambda ask: wire.send(self.client, call(request, ask)))

    def fetch_all(self, request: MultiSearchRequest) -> Stages:
        """As `fetch`, for several searches at once; one that fails is its refusal, and the others go on."""
        return drive(self.talks.searches(request), lambda ask: wire.send(self.client, call(request, ask)))

    def respond(self, first_stage: FirstStage[Native], ranking: Ranking) -> bytes:
        """Cut the page the caller asked for out of OpenSearch's answer, in the ranking's order."""
        return respond(first_stage, ranking)


class AsyncOpenSearchConnector:
    """As `OpenSearchConnector`, through an asynchronous client: `fetch` and `fetch_all` are to be awaited."""

    def __init__(self, client: AsyncOpenSearch, fields: PassageFields | None = None) -> None:
        self.client = client
        self.talks = Talks(client.transport.serializer, fields)

    async def fetch(self, request: SearchRequest) -> FirstStage[Native]:
        """Search for the window. Raises as `OpenSearchConnector.fetch` does."""
        send = wire.send_async
        return await drive_async(self.talks.search(request), lambda ask: send(self.client, call(request, ask)))

    async def fetch_all(self, request: MultiSearchRequest) -> Stages:
        """Search for several windows at once."""
        send = wire.send_async
        return await drive_async(self.talks.searches(request), lambda ask: send(self.client, call(request, ask)))

    def respond(self, first_stage: FirstStage[Native], ranking: Ranking) -> bytes:
        """Cut the page the caller asked for out of OpenSearch's answer, in the ranking's order."""
        return respond(first_stage, ranking)


def respond(first_stage: FirstStage[Native], ranking: Ranking) -> bytes:
    """Cut a page out of OpenSearch's answer, which stays as it is where it can't be reranked."""
    native = first_stage.native
    if native.plan is None or native.answer is None:
        return native.raw
    return response.respond(native.answer, native.plan, ranking)
