"""The contract every connector keeps, on both engines; a connector of one's own joins by an `Engine` of its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from opensearchpy import OpenSearch

from connectors.opensearch import OpenSearchConnector, SearchRequest
from connectors.opensearch.admin.bulk import IndexOptions, load
from connectors.opensearch.transport import connect
from connectors.pyserini import LuceneIndex, LuceneRequest, PyseriniConnector
from connectors.pyserini.build import build_index
from sidecar.core.candidates import Connector, FirstStage, Passage, Ranked, Ranking
from sidecar.core.corpus import Document
from sidecar.core.errors import IndexNotFound
from sidecar.reranker import Reranker, load_reranker

pytestmark = pytest.mark.live

# Shorter documents score higher with BM25, so the first stage finds d01, d02, … in this order.
DOCUMENTS = [Document(f"d{i:02}", f"Title {i}", "fox " + "filler " * i) for i in range(1, 31)]
BY_BM25 = [document.docid for document in DOCUMENTS]


@dataclass(frozen=True, slots=True)
class Engine:
    """A connector over `DOCUMENTS`, how to ask it, and how to read docids and scores off its response."""

    connector: Connector[Any, Any, Any]
    ask: Callable[[str, int, int], Any]
    read: Callable[[Any], list[tuple[str, float]]]


@pytest.fixture(scope="module")
def lucene(jvm, tmp_path_factory):
    del jvm
    directory = tmp_path_factory.mktemp("contract") / "index"
    build_index(DOCUMENTS, directory)
    with LuceneIndex(directory) as index:
        yield Engine(
            PyseriniConnector(index), LuceneRequest, lambda response: [(hit.docid, hit.score) for hit in response]
        )


@pytest.fixture(scope="module")
def opensearch(client):
    with loaded(client, IndexOptions()) as engine:
        yield engine


@pytest.fixture(scope="module")
def elasticsearch(elasticsearch_url):
    client = connect(elasticsearch_url)
    with loaded(client, IndexOptions(analyzer="standard")) as engine:
        yield engine
    client.close()


@contextmanager
def loaded(client: OpenSearch, options: IndexOptions) -> Iterator[Engine]:
    """Put `DOCUMENTS` into an index of OpenSearch or Elasticsearch during the block."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    load(client, name, DOCUMENTS, options=options)

    def ask(query: str, hits: int, window: int) -> SearchRequest:
        return SearchRequest(name, {"query": {"match": {"text": query}}, "size": hits}, window=window)

    def read(response: bytes) -> list[tuple[str, float]]:
        return [(hit["_id"], hit["_score"]) for hit in json.loads(response)["hits"]["hits"]]

    yield Engine(OpenSearchConnector(client), ask, read)
    client.indices.delete(index=name)


def reversed_ranking(first_stage: FirstStage[Any], unscored: set[str] = frozenset()) -> Ranking:
    """The last candidate first, with falling scores around zero; those in `unscored` behind them."""
    scored = [c for c in reversed(first_stage.candidates) if c.docid not in unscored]
    hits = [Ranked(c, rank, 5.0 - rank, 5.0 - rank) for rank, c in enumerate(scored, start=1)]
    rest = [c for c in first_stage.candidates if c.docid in unscored]
    hits += [Ranked(c, rank, None, None) for rank, c in enumerate(rest, start=len(hits) + 1)]
    return Ranking(first_stage.query, tuple(hits), {})


class Contract:
    """The contract that every connector keeps."""

    def test_candidates_are_the_window_in_the_engines_order(self, engine):
        first_stage = engine.connector.fetch(engine.ask("fox", 10, 20))
        assert [c.docid for c in first_stage.candidates] == BY_BM25[:20]
        assert [c.rank for c in first_stage.candidates] == list(range(1, 21))
        scores = [c.score for c in first_stage.candidates]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[-1] > 0
        assert first_stage.candidates[1].passage == Passage("Title 2", DOCUMENTS[1].text)
        assert (first_stage.query, first_stage.skipped) == ("fox", None)

    @pytest.mark.parametrize("hits", [3, 20, 30])
    def test_the_response_has_the_rankings_order_then_the_engines(self, engine, hits):
        first_stage = engine.connector.fetch(engine.ask("fox", hits, 20))
        answer = engine.read(engine.connector.respond(first_stage, reversed_ranking(first_stage)))
        assert [docid for docid, _ in answer] == (BY_BM25[19::-1] + BY_BM25[20:])[:hits]
        scores = [score for _, score in answer]
        assert all(above > below for above, below in pairwise(scores))

    def test_what_could_not_be_scored_follows_the_scored(self, engine):
        first_stage = engine.connector.fetch(engine.ask("fox", 6, 5))
        answer = engine.read(engine.connector.respond(first_stage, reversed_ranking(first_stage, {"d05", "d02"})))
        assert [docid for docid, _ in answer] == ["d04", "d03", "d01", "d02", "d05", "d06"]
        scores = [score for _, score in answer]
        assert all(above > below for above, below in pairwise(scores))

    def test_where_nothing_was_scored_the_engines_own_answer_stays(self, engine):
        first_stage = engine.connector.fetch(engine.ask("fox", 4, 5))
        answer = engine.read(engine.connector.respond(first_stage, reversed_ranking(first_stage, set(BY_BM25))))
        assert [docid for docid, _ in answer] == BY_BM25[:4]
        assert [score for _, score in answer] == pytest.approx([c.score for c in first_stage.candidates[:4]])

    def test_respond_is_pure(self, engine):
        first_stage = engine.connector.fetch(engine.ask("fox", 4, 5))
        ranking = reversed_ranking(first_stage)
        assert engine.connector.respond(first_stage, ranking) == engine.connector.respond(first_stage, ranking)

    def test_a_query_without_hits_gives_an_empty_response(self, engine):
        first_stage = engine.connector.fetch(engine.ask("unheardof", 4, 5))
        assert list(first_stage.candidates) == []
        assert engine.read(engine.connector.respond(first_stage, Ranking("unheardof", (), {}))) == []


# A class for each engine, so that `-k lucene` starts no OpenSearch node.
class TestLucene(Contract):
    @pytest.fixture
    def engine(self, lucene) -> Engine:
        return lucene


class TestOpenSearch(Contract):
    @pytest.fixture
    def engine(self, opensearch) -> Engine:
        return opensearch


class TestElasticsearch(Contract):
    @pytest.fixture
    def engine(self, elasticsearch) -> Engine:
        return elasticsearch


def test_a_missing_index_is_named(client, tmp_path):
    with pytest.raises(IndexNotFound, match="nowhere"):
        OpenSearchConnector(client).fetch(SearchRequest("nowhere", {"query": {"match": {"text": "fox"}}}))
    with pytest.raises(IndexNotFound, match="nowhere"):
        LuceneIndex(tmp_path / "nowhere")


def test_a_llama_with_its_adapter_on_and_off_through_both_engines(lucene, opensearch, tiny_llama):
    """The adapter changes the order, and both engines give a document the same score."""
    _, adapter = tiny_llama
    orders, scores = {}, {}
    for switched_on in (True, False):
        reranker: Reranker = load_reranker(str(adapter), adapter=switched_on, device="cpu")
        for name, engine in (("lucene", lucene), ("opensearch", opensearch)):
            first_stage = engine.connector.fetch(engine.ask("fox", 30, 30))
            ranking = reranker.rank_candidates(first_stage.query, first_stage.candidates)
            answer = engine.read(engine.connector.respond(first_stage, ranking))
            orders[name, switched_on] = [docid for docid, _ in answer]
            scores[name, switched_on] = {hit.candidate.docid: hit.rerank_score for hit in ranking.hits}
    assert orders["lucene", True] == orders["opensearch", True]
    assert orders["lucene", False] == orders["opensearch", False]
    assert orders["lucene", True] != orders["lucene", False]
    assert orders["lucene", True] != BY_BM25
    assert scores["lucene", True] == pytest.approx(scores["opensearch", True], abs=1e-6)
