"""OpenSearch, through opensearch-py: `RerankingClient` wraps a client, `OpenSearchConnector` is its two verbs.

`AsyncRerankingClient` and `AsyncOpenSearchConnector` are the same around an `AsyncOpenSearch`.
"""

from connectors.opensearch.client import AsyncRerankingClient, RerankingClient
from connectors.opensearch.connector import AsyncOpenSearchConnector, OpenSearchConnector
from connectors.opensearch.requests import MultiSearchRequest, SearchRequest

__all__ = [
    "AsyncOpenSearchConnector",
    "AsyncRerankingClient",
    "MultiSearchRequest",
    "OpenSearchConnector",
    "RerankingClient",
    "SearchRequest",
]
