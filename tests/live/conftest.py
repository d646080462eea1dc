"""Fixtures of the live tests."""

from tests.live.foxes import index, reranking
from tests.live.nodes import client, opensearch_url

__all__ = ["client", "index", "opensearch_url", "reranking"]
