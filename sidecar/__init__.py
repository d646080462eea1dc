"""Rerank the first-stage hits of OpenSearch or Lucene and answer in the engine's own format."""

from sidecar.version import __version__

__all__ = ["__version__"]
