"""Fixtures of the live tests."""

from tests.live.nodes import client, opensearch_url

__all__ = ["client", "opensearch_url"]
