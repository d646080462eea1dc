"""Fixtures of the live tests."""

from tests.support.live.foxes import index, reranking

__all__ = ["index", "reranking"]
