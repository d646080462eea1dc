"""Real collections through both connectors with the embedded bi-encoder: better than BM25, and the same scores."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from benchmarks.engines import compare, read_collection
from sidecar.reranker import load_reranker

pytestmark = [pytest.mark.live, pytest.mark.data, pytest.mark.usefixtures("jvm")]


def reranker_for_each_engine(**options):
    """Load two, so that equal scores are computed twice."""
    return tuple(load_reranker("e5-small", device="cpu", **options) for _ in range(2))


@pytest.fixture
def cranfield(judged):
    """Cranfield with all its judged queries."""
    return read_collection(judged / "cranfield")


def test_cranfield_begins_alike(cranfield, client, tmp_path):
    """The first queries, and the beginning of each passage: the whole takes minutes."""
    queries = dict(islice(cranfield.queries.items(), 3))
    part = replace(cranfield, queries=queries, qrels={qid: cranfield.qrels[qid] for qid in queries})
    found = compare(part, client, reranker_for_each_engine(max_length=64), tmp_path / "index")
    assert found.ndcg["Lucene reranked"] > found.ndcg["Lucene BM25"]
    assert found.ndcg["OpenSearch reranked"] > found.ndcg["OpenSearch BM25"]
    assert found.overlap >= 0.8
    assert found.difference <= 1e-6


@pytest.mark.soak
def test_cranfield(cranfield, client, tmp_path):
    found = compare(cranfield, client, reranker_for_each_engine(), tmp_path / "index")
    ndcg = found.ndcg
    assert ndcg["Lucene BM25"] == pytest.approx(0.3510, abs=5e-4)
    assert ndcg["OpenSearch BM25"] == pytest.approx(0.3420, abs=5e-4)
    # As shipped the gain over the collection's own BM25 lists is 0.063 (docs/EXPERIMENTS.md).
    assert ndcg["Lucene reranked"] > ndcg["Lucene BM25"] + 0.045
    assert ndcg["OpenSearch reranked"] > ndcg["OpenSearch BM25"] + 0.045
    assert found.overlap >= 0.8
    assert found.difference <= 1e-6
