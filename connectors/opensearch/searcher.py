"""The in-process door: an opensearch-py client whose `search` reranks. It joins the parts and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
from connectors.opensearch.request import WINDOW
from sidecar.candidates import Ranking, Ranks
from sidecar.documents import PassageFields


@dataclass(frozen=True, slots=True)
class Reranked:
    """A search's answer: OpenSearch's response as bytes, and the ranking behind it or the reason why there is none."""

    body: bytes
    ranking: Ranking | None
    skipped: str | None


class RerankingClient:
    """A user's `OpenSearch` client with a reranking `search`; everything else is that client's own.

    `window` hits are reranked for each search that does not name a window of its own.
    """

    def __init__(
        self, client: OpenSearch, reranker: Ranks, *, window: int = WINDOW, fields: PassageFields | None = None
    ) -> None:
        self.client = client
        self.reranker = reranker
        self.window = window
        self.connector = OpenSearchConnector(client, fields)

    def rerank(self, request: SearchRequest) -> Reranked:
        """Search and rerank. Raises an `EngineError`, or what the reranker raises."""
        first_stage = self.connector.fetch(request)
        if first_stage.skipped is not None:
            return Reranked(first_stage.native.raw, None, first_stage.skipped)
        ranking = self.reranker.rank(first_stage.query, first_stage.candidates)
        return Reranked(self.connector.respond(first_stage, ranking), ranking, None)

    def search(self, **arguments: Any) -> Any:
        """Do what `OpenSearch.search` does, with its arguments, and rerank; `window` is one more of them."""
        text = self.search_raw(**arguments).decode("utf-8", "surrogatepass")
        return self.client.transport.deserializer.loads(text, "application/json")

    def search_raw(
        self,
        *,
        index: str | Sequence[str] | None = None,
        body: bytes | str | Mapping[str, Any] | None = None,
        window: int | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        **url: Any,
    ) -> bytes:
        """As `search`, but the response is OpenSearch's bytes: `0.10` stays `0.10`."""
        given = {**(params or {}), **{"from" if key == "from_" else key: value for key, value in url.items()}}
        request = SearchRequest(
            index=index,
            body=body,
            params={key: value for key, value in given.items() if value is not None},
            headers=headers or {},
            window=self.window if window is None else window,
        )
        return self.rerank(request).body

    def __getattr__(self, name: str) -> Any:
        if name == "client":  # not there yet while a copy is being made
            raise AttributeError(name)
        return getattr(self.client, name)
