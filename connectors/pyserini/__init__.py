"""Lucene indexes, through Pyserini: `RerankingSearcher` wraps an index, `PyseriniConnector` is its two verbs."""

from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
from connectors.pyserini.index import LuceneIndex
from connectors.pyserini.searcher import RerankingSearcher

__all__ = ["LuceneIndex", "LuceneRequest", "PyseriniConnector", "RerankingSearcher"]
