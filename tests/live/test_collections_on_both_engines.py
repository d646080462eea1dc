"""Real collections through both connectors with the embedded model: better than BM25, and the same scores."""

from __future__ import annotations

import pytest

from benchmarks.engines import compare, read_collection
from sidecar.reranker import load_reranker

pytestmark = [pytest.mark.live, pytest.mark.data, pytest.mark.usefixtures("jvm")]


@pytest.fixture(scope="session")
def minilm():
    """One for the session: it remembers the passages it has embedded."""
    return load_reranker(device="cpu")


@pytest.mark.parametrize(
    ("name", "lucene_bm25", "lucene_reranked"), [("cranfield", 0.3510, 0.3949), ("scifact", 0.6677, None)]
)
def test_both_engines(judged, client, minilm, tmp_path, name, lucene_bm25, lucene_reranked):
    found = compare(read_collection(judged / name), client, minilm, tmp_path / "index")
    assert found.ndcg["Lucene BM25"] == pytest.approx(lucene_bm25, abs=5e-4)
    if lucene_reranked is not None:
        assert found.ndcg["Lucene reranked"] == pytest.approx(lucene_reranked, abs=5e-4)
    assert found.ndcg["OpenSearch reranked"] == pytest.approx(found.ndcg["Lucene reranked"], abs=0.02)
    assert found.overlap >= 0.8
    assert found.difference <= 1e-6
