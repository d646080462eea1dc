"""Real collections through both connectors with the embedded bi-encoder: better than BM25, and the same scores."""

from __future__ import annotations

import pytest

from benchmarks.engines import compare, read_collection
from sidecar.reranker import load_reranker

pytestmark = [pytest.mark.live, pytest.mark.data, pytest.mark.usefixtures("jvm")]


@pytest.fixture(scope="session")
def rerankers():
    """One for each engine and for the whole session: they remember the passages they have embedded."""
    return load_reranker("minilm", device="cpu"), load_reranker("minilm", device="cpu")


def test_cranfield(judged, client, rerankers, tmp_path):
    found = compare(read_collection(judged / "cranfield"), client, rerankers, tmp_path / "index")
    assert found.ndcg == {
        "Lucene BM25": pytest.approx(0.3510, abs=5e-4),
        "Lucene reranked": pytest.approx(0.3949, abs=1e-3),
        "Lucene blended": pytest.approx(0.4025, abs=1e-3),
        "OpenSearch BM25": pytest.approx(0.3420, abs=5e-4),
        "OpenSearch reranked": pytest.approx(0.3963, abs=1e-3),
        "OpenSearch blended": pytest.approx(0.3969, abs=1e-3),
    }
    assert found.overlap >= 0.8
    assert found.difference <= 1e-6
