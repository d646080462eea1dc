"""Lucene indexes as the first stage of a comparison; every caller who may use the API may search them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.pyserini.connector import LuceneRequest, PyseriniConnector, Searcher
from connectors.pyserini.hits import rest_response
from sidecar.core.candidates import Ranking
from sidecar.core.documents import PassageFields
from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.callers import TrustedProxies
from sidecar.serving.http.held_bytes import Hold
from sidecar.serving.rerank_api.json_body import written
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.ui.first_stages import Fetched, hits_of
from sidecar.serving.ui.request import ComparisonRequest

InThread = Callable[..., Awaitable[Any]]


class LuceneEngine:
    """The Lucene indexes of the settings by name; `in_thread` runs work in a thread that may call the JVM.

    `trusted` are the proxies that may name a caller.
    """

    def __init__(self, searchers: Mapping[str, Searcher], in_thread: InThread, trusted: TrustedProxies) -> None:
        self.searchers = searchers
        self._in_thread = in_thread
        self._trusted = trusted

    async def fetch(
        self, asked: ComparisonRequest, window: int, fields: PassageFields, exchange: Exchange, hold: Hold
    ) -> Fetched:
        """Run BM25. Raises `Problem` for an unknown index or a search body, `InputError` or an `EngineError`."""
        del hold
        if asked.index not in self.searchers:
            known = ", ".join(self.searchers)
            raise Problem(Fault.NOT_FOUND, f"there is no Lucene index {asked.index[:80]!r} here; there are {known}")
        if asked.query is None:
            raise Problem(Fault.INVALID, "a Lucene index takes a query, not a body", param="body")
        connector = PyseriniConnector(self.searchers[asked.index], fields)
        first_stage = await self._in_thread(connector.fetch, LuceneRequest(asked.query, window, window))

        async def respond(ranking: Ranking | None) -> bytes:
            found = connector.respond(first_stage, ranking or Ranking(first_stage.query, (), {}))
            return written(rest_response(asked.index, first_stage.query, found))

        return Fetched(
            query=first_stage.query,
            candidates=first_stage.candidates,
            hits=hits_of(first_stage.candidates),
            window=window,
            respond=respond,
            caller=exchange.caller(self._trusted).key(),
            request={"path": f"/v1/{asked.index}/search", "params": {"query": asked.query, "hits": window}},
        )
