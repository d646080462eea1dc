"""OpenSearch, through opensearch-py: `RerankingClient` wraps a client, `OpenSearchConnector` is its two verbs."""

from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
from connectors.opensearch.searcher import RerankingClient

__all__ = ["OpenSearchConnector", "RerankingClient", "SearchRequest"]
