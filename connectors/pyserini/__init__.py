"""Lucene indexes, through Pyserini: `RerankingSearcher` wraps an index, `PyseriniConnector` fetches and responds."""

from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
from connectors.pyserini.index import LuceneIndex
from connectors.pyserini.rest import PyseriniServer
from connectors.pyserini.rm3 import Rm3
from connectors.pyserini.searcher import RerankingSearcher

__all__ = ["LuceneIndex", "LuceneRequest", "PyseriniConnector", "PyseriniServer", "RerankingSearcher", "Rm3"]
