"""Rerank the first-stage hits of OpenSearch or Lucene and answer in the engine's own format."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from sidecar.namesakes import find_namesake
from sidecar.version import __version__

if TYPE_CHECKING:
    from sidecar.reranker import load_reranker

# No error: what needs no connector works all the same.
if namesake := find_namesake():
    warnings.warn(f"{namesake.message} {namesake.remedy}", RuntimeWarning, stacklevel=2)

__all__ = ["__version__", "load_reranker"]


def __getattr__(name: str) -> Any:
    # On first use, so that `import sidecar` stays light.
    if name == "load_reranker":
        from sidecar.reranker import load_reranker

        return load_reranker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
