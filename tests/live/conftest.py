"""Fixtures of the live tests."""

from tests.live.foxes import index, reranking

__all__ = ["index", "reranking"]
