"""The two verbs on OpenSearch: fetch a window of hits, respond with OpenSearch's own answer in a better order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from opensearchpy import OpenSearch

from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.caller import caller_of
from connectors.opensearch.flow.cluster_state import Cluster
from connectors.opensearch.flow.driving import drive, drive_async
from connectors.opensearch.flow.msearch_flow import Stages, SubSearch
from connectors.opensearch.flow.search_flow import Flow, NativeResponse, OpenSearchRequest, SearchFlow, finish
from connectors.opensearch.requests import MultiSearchRequest, SearchRequest, index_expression, written_params
from connectors.opensearch.respond import response
from connectors.opensearch.rewrite.request import FetchPhase
from connectors.opensearch.rewrite.search_body import SearchBody
from connectors.opensearch.transport import Call, send, send_async
from sidecar.core.candidates import FirstStage, Ranking
from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch  # there with aiohttp alone

__all__ = ["AsyncOpenSearchConnector", "MultiSearchRequest", "OpenSearchConnector", "SearchRequest"]

Result = TypeVar("Result")


class _SearchFlows:
    """Starts the search flows of requests, for a synchronous or an asynchronous client; sends nothing."""

    def __init__(self, client: Any, fields: PassageFields | None, fetch_phase: FetchPhase) -> None:
        if fetch_phase not in get_args(FetchPhase):
            raise ConfigurationError(
                f"fetch_phase is {fetch_phase!r}.", remedy=f"Choose one of {', '.join(get_args(FetchPhase))}."
            )
        self._serializer = client.transport.serializer
        self._fields = fields or PassageFields()
        self._fetch_phase = fetch_phase
        self._cluster = Cluster()

    def search_flow(self, request: SearchRequest) -> SearchFlow:
        """Start the flow of a search."""
        index, body = index_expression(request.index), SearchBody(request.encoded(self._serializer))
        return self._started(request, index, body, written_params(request.params))

    def msearch_flow(self, request: MultiSearchRequest) -> Flow[Stages]:
        """Start the flow of several searches."""

        def start(search: SubSearch) -> SearchFlow:
            index = msearch_flow.index_in(search.header) or index_expression(request.index)
            return self._started(request, index, search.body, {})

        return msearch_flow.msearch_flow(request.encoded(self._serializer), written_params(request.params), start)

    def respond(self, first_stage: FirstStage[NativeResponse], ranking: Ranking) -> bytes:
        """Cut the page that the caller requested out of OpenSearch's answer, in the ranking's order.

        The answer stays as it is if it can't be reranked.
        """
        native = first_stage.native
        if native.plan is None or native.answer is None:
            return native.raw
        return response.respond(native.answer, native.plan, ranking)

    def _started(
        self, request: SearchRequest | MultiSearchRequest, index: str | None, body: SearchBody, params: dict[str, Any]
    ) -> SearchFlow:
        caller = caller_of(request.headers.items(), request.params)
        return self._cluster.search(
            index,
            body,
            params,
            window=request.window,
            fields=self._fields,
            caller=caller,
            fetch_phase=self._fetch_phase,
        )


class OpenSearchConnector(_SearchFlows):
    """OpenSearch behind `fetch` and `respond`; the client stays the user's own and unchanged.

    `fields` says where a document's title and text are, by dotted path. With `fetch_phase="page"` highlights and script
    fields are left to `finish`, which requests those of the page; `respond` gives the page without them.
    """

    def __init__(
        self, client: OpenSearch, fields: PassageFields | None = None, fetch_phase: FetchPhase = "window"
    ) -> None:
        super().__init__(client, fields, fetch_phase)
        self.client = client

    def fetch(self, request: SearchRequest) -> FirstStage[NativeResponse]:
        """Search for the window. A search that can't be reranked is answered by OpenSearch alone, with the reason.

        Raises `EngineUnreachable`, or `EngineRejected` (`MissingIndex` for an unknown index) with OpenSearch's message.
        """
        return self._drive(request, self.search_flow(request))

    def finish(self, request: SearchRequest, first_stage: FirstStage[NativeResponse], ranking: Ranking | None) -> bytes:
        """As `respond`, with all that the page's hits still lack. Raises as `fetch` does."""
        return self._drive(request, finish(first_stage, ranking))

    def fetch_all(self, request: MultiSearchRequest) -> Stages:
        """As `fetch`, for several searches at once; the stage of a search that fails is OpenSearch's rejection."""
        return self._drive(request, self.msearch_flow(request))

    def finish_all(self, request: MultiSearchRequest, found: Stages, rankings: Sequence[Ranking | None]) -> list[bytes]:
        """As `finish`, for several searches at once."""
        return self._drive(request, msearch_flow.finish(found, rankings))

    def _drive(self, request: SearchRequest | MultiSearchRequest, flow: Flow[Result]) -> Result:
        return drive(flow, lambda step: send(self.client, _call(request, step)))


class AsyncOpenSearchConnector(_SearchFlows):
    """As `OpenSearchConnector`, through an asynchronous client: all but `respond` is to be awaited."""

    def __init__(
        self, client: AsyncOpenSearch, fields: PassageFields | None = None, fetch_phase: FetchPhase = "window"
    ) -> None:
        super().__init__(client, fields, fetch_phase)
        self.client = client

    async def fetch(self, request: SearchRequest) -> FirstStage[NativeResponse]:
        """Search for the window. Raises as `OpenSearchConnector.fetch` does."""
        return await self._drive(request, self.search_flow(request))

    async def finish(
        self, request: SearchRequest, first_stage: FirstStage[NativeResponse], ranking: Ranking | None
    ) -> bytes:
        """As `respond`, with all that the page's hits still lack."""
        return await self._drive(request, finish(first_stage, ranking))

    async def fetch_all(self, request: MultiSearchRequest) -> Stages:
        """As `fetch`, for several searches at once."""
        return await self._drive(request, self.msearch_flow(request))

    async def finish_all(
        self, request: MultiSearchRequest, found: Stages, rankings: Sequence[Ranking | None]
    ) -> list[bytes]:
        """As `finish`, for several searches at once."""
        return await self._drive(request, msearch_flow.finish(found, rankings))

    async def _drive(self, request: SearchRequest | MultiSearchRequest, flow: Flow[Result]) -> Result:
        return await drive_async(flow, lambda step: send_async(self.client, _call(request, step)))


def _call(request: SearchRequest | MultiSearchRequest, step: OpenSearchRequest) -> Call:
    """Say where a request of a flow is sent, and with which headers."""
    params = step.params if step.path is None else request.params
    multi = isinstance(request, MultiSearchRequest)
    return Call(index_expression(request.index), step.body, params, request.headers, multi=multi, path=step.path)
