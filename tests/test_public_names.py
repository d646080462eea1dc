"""The public names: their lists are stable, each can be imported, and `import sidecar` loads nothing heavy."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PUBLIC = {
    "sidecar": {"Fusion", "PassageFields", "Reranker", "SidecarError", "__version__", "load_reranker"},
    "sidecar.documents": {"PassageFields"},
    "connectors.opensearch": {
        "AsyncOpenSearchConnector",
        "AsyncRerankingClient",
        "MultiSearchRequest",
        "OpenSearchConnector",
        "RerankingClient",
        "SearchRequest",
    },
    "connectors.pyserini": {
        "LuceneIndex",
        "LuceneRequest",
        "PyseriniConnector",
        "PyseriniServer",
        "RerankingSearcher",
        "Rm3",
    },
}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_of_a_package(module):
    found = importlib.import_module(module)
    assert set(found.__all__) == PUBLIC[module]
    assert all(hasattr(found, name) for name in found.__all__)


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        importlib.import_module("sidecar").nothing  # noqa: B018  it raises


def test_importing_the_package_loads_nothing_heavy():
    probe = "import sys, sidecar; print({'torch', 'transformers', 'openvino', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
