import pytest

from connectors.pyserini.searcher import RerankingSearcher
from sidecar.core.errors import InputError


@pytest.fixture
def searcher(list_searcher, lucene_hits, table_reranker):
    return RerankingSearcher(
        list_searcher(lucene_hits("a", "b", "c")), table_reranker({"a": 1.0, "b": 2.0, "c": 3.0}), window=2
    )


class BatchSearcher:
    """Has Pyserini's `batch_search`, which leaves out queries without hits in some versions."""

    def __init__(self, hits_by_query):
        self.hits_by_query = hits_by_query
        self.rounds = []

    def search(self, query, k=10):
        return self.hits_by_query.get(query, [])[:k]

    def batch_search(self, queries, qids, k=10, threads=1):
        self.rounds.append((len(queries), k, threads))
        found = {qid: self.search(query, k) for query, qid in zip(queries, qids, strict=True)}
        return {qid: hits for qid, hits in found.items() if hits}


def test_search_reranks_the_window_of_the_searcher(searcher):
    assert [(hit.docid, hit.score) for hit in searcher.search("q")] == [("d2", 2.0), ("d1", 1.0), ("d3", 0.0)]


def test_k_and_a_window_of_the_calls_own(searcher):
    assert [(hit.docid, hit.score) for hit in searcher.search("q", k=1, window=3)] == [("d3", 3.0)]


def test_batch_search_is_search_query_by_query(searcher):
    assert searcher.batch_search(["q", "r"], ["1", "2"], k=2) == {
        "1": searcher.search("q", 2),
        "2": searcher.search("r", 2),
    }


def test_batch_search_goes_in_rounds_and_keeps_the_order_of_the_qids(lucene_hits, table_reranker):
    batch = BatchSearcher({f"q{i}": lucene_hits("a", "b") for i in range(150) if i != 70})
    searcher = RerankingSearcher(batch, table_reranker({"a": 1.0, "b": 2.0}))
    queries, qids = [f"q{i}" for i in range(150)], [f"id{i}" for i in range(150)]
    found = searcher.batch_search(queries, qids, k=1, threads=4)
    assert batch.rounds == [(64, 100, 4), (64, 100, 4), (22, 100, 4)]
    assert list(found) == qids
    assert found["id70"] == []
    assert [hit.docid for hit in found["id149"]] == ["d2"]
    assert found["id0"] == searcher.search("q0", 1)


def test_nothing_asked_in_a_batch_is_nothing_found(searcher):
    assert searcher.batch_search([], []) == {}


@pytest.mark.parametrize(("queries", "qids"), [(["q", "r"], ["1"]), (["q", "r"], ["1", "1"])])
def test_each_query_needs_a_qid_of_its_own(searcher, queries, qids):
    with pytest.raises(InputError, match="2 queries with 1 different qids"):
        searcher.batch_search(queries, qids)


def test_an_empty_query_in_a_batch_is_refused_before_anything_is_searched(searcher):
    with pytest.raises(InputError, match="empty"):
        searcher.batch_search(["q", " "], ["1", "2"])
