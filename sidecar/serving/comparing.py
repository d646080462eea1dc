"""Build the comparison of first stage and reranking from the parts of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sidecar.serving.proxy.app import ProxyApp
from sidecar.serving.rerank_api.engine import RerankEngine
from sidecar.serving.ui.compare_api import CompareApi
from sidecar.serving.ui.comparer import Comparer
from sidecar.serving.ui.first_stages import ComparedEngine
from sidecar.serving.ui.opensearch_engine import OpenSearchEngine

if TYPE_CHECKING:
    from sidecar.serving.lucene_api import LuceneApi


def compare_api(
    engine: RerankEngine, proxy: ProxyApp, lucene: LuceneApi | None, *, keys: Sequence[str], proxy_port: int
) -> CompareApi:
    """Offer the Lucene indexes, if there are any, and OpenSearch through the proxy's own search."""
    engines: dict[str, ComparedEngine] = {}
    indexes: list[str] = []
    if lucene is not None:
        from sidecar.serving.ui.lucene_engine import LuceneEngine

        searchers = {name: opened.index for name, opened in lucene.indexes.items()}
        engines["lucene"] = LuceneEngine(searchers, lucene.in_thread, proxy.proxy.trusted)
        indexes = list(searchers)
    opensearch = OpenSearchEngine(proxy.proxy, keys)
    engines["opensearch"] = opensearch
    comparer = Comparer(
        engines=engines,
        lucene_indexes=indexes,
        list_indexes=opensearch.index_names,
        service=engine.service,
        names=engine.models,
        options=proxy.options.defaults,
        turns=proxy,
        metrics=engine.metrics,
    )
    allowed = proxy.options.allowed_hosts
    return CompareApi(comparer, engine.limits, keyed=bool(keys), allowed_hosts=allowed, proxy_port=proxy_port)
