"""Search pipelines on a real node: one that reranks goes before us, any other is applied as ever."""

from __future__ import annotations

import asyncio
import json

import pytest
from opensearchpy import AsyncOpenSearch

from connectors.opensearch import AsyncRerankingClient, RerankingClient, SearchRequest
from connectors.opensearch.transport import connect
from sidecar.core.errors import EngineRejected
from tests.support.live.foxes import direct, hits, ids, without_took
from tests.support.rerankers import ByLength, Identity
from tests.support.servers.rerank_server import rerank_pipeline, rerank_server

pytestmark = pytest.mark.live

DOCS, WINDOW = 60, 30
QUERY = {"match": {"text": "fox"}}
EXT = {"rerank": {"query_context": {"query_text": "which fox?"}}}
NORMALIZING = {
    "phase_results_processors": [
        {
            "normalization-processor": {
                "normalization": {"technique": "min_max"},
                "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.3, 0.7]}},
            }
        }
    ]
}


@pytest.fixture(scope="module")
def server():
    with rerank_server() as server:
        yield server


@pytest.fixture(scope="module")
def node(ml_node, server):
    ask = ml_node.ask
    for index in ("plain", "reranked", "filtered"):
        ask("PUT", index, {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
        for i in range(DOCS):
            text = "fox " * (1 + i % 7) + "x" * (i * 37 % 101)
            ask("PUT", f"{index}/_doc/{i}", {"text": text, "title": "owl " * (i % 5), "docno": i})
        ask("POST", f"{index}/_refresh")
    ask("PUT", "_search/pipeline/rr", rerank_pipeline(ask, server))
    ask("PUT", "_search/pipeline/normalizing", NORMALIZING)
    ask("PUT", "reranked/_settings", {"index.search.default_pipeline": "rr"})
    ask("POST", "_aliases", {"actions": [{"add": {"index": "reranked", "alias": "alias"}}]})
    return ml_node


@pytest.fixture
def client(node):
    client = connect(node.url)
    yield client
    client.close()


@pytest.fixture
def reranking(client):
    return RerankingClient(client, ByLength(), window=WINDOW)


HYBRID = {"hybrid": {"queries": [QUERY, {"match": {"title": "owl"}}]}}


@pytest.mark.parametrize("more", [{}, {"_source": False}, {"_source": ["docno"], "fields": ["title"]}])
def test_a_hybrid_search_is_reranked_over_its_normalized_scores(client, more):
    # Hybrid scores depend on the size, so it is the window's that must be equal.
    body, params = {"query": HYBRID, "size": WINDOW, **more}, {"search_pipeline": "normalizing"}
    reranker = Identity()
    request = SearchRequest("plain", body, params, window=WINDOW)
    answer = RerankingClient(client, reranker).rerank(request)
    assert answer.skipped is None
    own = direct(client, "plain", body, **params)
    assert hits(answer.body) == hits(own)
    assert [c.score for c in reranker.seen] == [hit["_score"] for hit in json.loads(own)["hits"]["hits"]]
    assert answer.ranking.query == "fox owl"


def test_a_page_of_a_hybrid_search_is_a_slice_of_one_reranked_list(reranking):
    def page(start, size):
        body = {"query": HYBRID, "from": start, "size": size}
        return ids(reranking.search(index="plain", body=body, search_pipeline="normalizing"))

    assert page(0, 10) + page(10, 10) + page(20, 10) == page(0, 30)


@pytest.mark.parametrize("more", [{}, {"sort": ["docno"]}, {"from": 2}])
@pytest.mark.parametrize(
    ("index", "name"),
    [("plain", "rr"), ("reranked", None), ("alias", None), ("rerank*", None), ("plain,reranked", None)],
)
def test_a_pipeline_that_reranks_goes_before_us(reranking, client, server, index, name, more):
    body, params = {"query": QUERY, "size": 5, "ext": EXT, **more}, {"search_pipeline": name} if name else {}
    server.queries.clear()
    answer = reranking.rerank(SearchRequest(index, body, params))
    assert server.queries == ["which fox?"]
    assert answer.skipped == (
        "the search pipeline 'rr' reranks already; ask with search_pipeline=_none to have the sidecar do it"
    )
    assert without_took(answer.body) == without_took(direct(client, index, body, **params))


def test_a_pipeline_named_or_written_in_the_body_goes_before_us(reranking, client, node):
    written = node.ask("GET", "_search/pipeline/rr")["rr"]
    for pipeline, named in (("rr", "'rr'"), (written, "of the body")):
        body = {"query": QUERY, "size": 5, "ext": EXT, "search_pipeline": pipeline}
        answer = reranking.rerank(SearchRequest("plain", body))
        assert answer.skipped.startswith(f"the search pipeline {named} reranks already")
        assert without_took(answer.body) == without_took(direct(client, "plain", body))


def test_without_the_pipeline_the_sidecar_reranks(reranking, server):
    server.queries.clear()
    none = {"search_pipeline": "_none"}
    body = {"query": QUERY, "size": 5, "ext": EXT}
    answers = [
        reranking.rerank(SearchRequest("reranked", body, none)),
        reranking.rerank(SearchRequest("reranked", {**body, **none})),
        reranking.rerank(SearchRequest("reranked", {**body, "search_pipeline": "rr"}, none)),
    ]
    assert [(answer.skipped, answer.ranking.query) for answer in answers] == [(None, "which fox?")] * 3
    assert server.queries == []


def test_indices_with_different_defaults_have_none_and_are_reranked(reranking, node):
    node.ask("PUT", "filtered/_settings", {"index.search.default_pipeline": "normalizing"})
    try:
        assert reranking.rerank(SearchRequest("reranked,filtered", {"query": QUERY, "ext": EXT})).skipped is None
    finally:
        node.ask("PUT", "filtered/_settings", {"index.search.default_pipeline": None})


def test_a_pipeline_that_is_not_there_is_refused_in_the_engines_words(reranking):
    with pytest.raises(EngineRejected, match="Pipeline nope is not defined"):
        reranking.search(index="plain", body={"query": QUERY}, search_pipeline="nope")


def test_each_of_several_searches_meets_its_own_pipeline(reranking, client, server):
    body = {"query": QUERY, "size": 5, "ext": EXT}
    lines = [{"index": "reranked"}, body, {}, body, {}, {**body, "search_pipeline": "rr"}, {"index": "plain"}, body]
    server.queries.clear()
    found = reranking.msearch(body=lines, index="reranked")["responses"]
    assert server.queries == ["which fox?"] * 3
    theirs = ids(json.loads(direct(client, "reranked", body)))
    ours = ids(reranking.search(index="plain", body=body))
    assert [ids(answer) for answer in found] == [theirs, theirs, theirs, ours]
    assert ours != theirs


def test_an_asynchronous_search_meets_the_pipeline_too(node):
    async def ask(*names):
        async with AsyncOpenSearch(node.url) as client:
            reranking = AsyncRerankingClient(client, ByLength())
            return [await reranking.rerank(SearchRequest(name, {"query": QUERY, "ext": EXT})) for name in names]

    reranked, plain = asyncio.run(ask("reranked", "plain"))
    assert reranked.skipped.startswith("the search pipeline 'rr' reranks already")
    assert plain.skipped is None
