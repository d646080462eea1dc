"""Rerank the first-stage hits of OpenSearch or Lucene and answer in the engine's own format."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from sidecar.namesakes import find_namesake
from sidecar.version import __version__

if TYPE_CHECKING:
    from sidecar.core.documents import PassageFields
    from sidecar.core.errors import SidecarError
    from sidecar.core.fusion import Fusion
    from sidecar.reranker import Reranker, load_reranker

# No error: what needs no connector works all the same.
if namesake := find_namesake():
    warnings.warn(f"{namesake.message} {namesake.remedy}", RuntimeWarning, stacklevel=2)

__all__ = ["Fusion", "PassageFields", "Reranker", "SidecarError", "__version__", "load_reranker"]

# Public name → its module, which is imported on first use, so that `import sidecar` stays light.
_MODULES = {
    "Fusion": "sidecar.core.fusion",
    "PassageFields": "sidecar.core.documents",
    "Reranker": "sidecar.reranker",
    "SidecarError": "sidecar.core.errors",
    "load_reranker": "sidecar.reranker",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
