"""Rerank the first-stage hits of OpenSearch or Lucene and answer in the engine's own format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecar.version import __version__

if TYPE_CHECKING:
    from sidecar.reranker import load_reranker

__all__ = ["__version__", "load_reranker"]


def __getattr__(name: str) -> Any:
    # On first use, so that `import sidecar` stays light.
    if name == "load_reranker":
        from sidecar.reranker import load_reranker

        return load_reranker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
