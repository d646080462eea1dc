"""Searches that a real OpenSearch does not let us rerank are answered as ever, with the reason."""

from __future__ import annotations

import json
import uuid

import pytest

from connectors.opensearch.connector import SearchRequest
from sidecar.core.errors import EngineRejected
from tests.support.live.foxes import QUERY, direct, ids, without_took

pytestmark = pytest.mark.live


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({"query": QUERY, "size": 0, "aggs": {"tags": {"terms": {"field": "tag"}}}}, {}),
        ({"query": QUERY, "sort": ["docno"]}, {}),
        ({"query": QUERY, "sort": ["_score", {"docno": "asc"}], "search_after": [1.0, 3]}, {}),
        ({"query": QUERY}, {"sort": "docno:desc"}),
        ({"query": {"match_all": {}}}, {}),
        ({"query": {"term": {"tag": "t1"}}}, {}),
        ({"query": QUERY, "stored_fields": "_none_"}, {}),
    ],
)
def test_what_is_not_reranked_is_answered_as_ever(reranking, client, index, body, params):
    answer = reranking.rerank(SearchRequest(index, json.dumps(body).encode(), params))
    assert answer.skipped
    assert without_took(answer.body) == without_took(direct(client, index, body, **params))


def test_a_scroll_is_not_reranked(reranking, client, index):
    answer = reranking.search(index=index, body={"query": QUERY}, scroll="1m", size=3)
    assert len(ids(answer)) == 3
    client.clear_scroll(scroll_id=answer["_scroll_id"])


def test_our_ext_never_reaches_the_engine(reranking, index):
    text = {"rerank": {"query_context": {"query_text": "which fox?"}}}
    ranked = reranking.rerank(SearchRequest(index, json.dumps({"query": QUERY, "ext": text}).encode()))
    assert ranked.ranking.query == "which fox?"
    skipped = reranking.rerank(SearchRequest(index, json.dumps({"size": 0, "ext": text}).encode()))
    assert skipped.skipped == "size is 0: there are no hits to rerank"


@pytest.fixture
def narrow(client, index):
    client.indices.put_settings(index=index, body={"index.max_result_window": 20})
    yield index
    client.indices.put_settings(index=index, body={"index.max_result_window": None})


def test_a_window_that_the_index_refuses_shrinks_to_what_it_allows(reranking, narrow):
    body = {"query": QUERY, "size": 5}
    answer = reranking.rerank(SearchRequest(narrow, body, window=50))
    assert (answer.skipped, answer.window, len(answer.ranking.hits)) == (None, 20, 20)
    assert ids(json.loads(answer.body)) == ids(reranking.search(index=narrow, body=body, window=20))
    # It is remembered: the next search requests no more.
    flow = reranking.connector.search_flow(SearchRequest(narrow, body, window=50))
    assert json.loads(next(flow).body)["size"] == 20


def test_a_page_beyond_what_the_index_allows_is_refused_in_its_words(reranking, narrow):
    with pytest.raises(EngineRejected, match=r"less than or equal to: \[20\] but was \[25\]"):
        reranking.search(index=narrow, body={"query": QUERY, "from": 20, "size": 5})


def test_one_index_of_several_that_allows_less_shrinks_the_window_for_all(reranking, client, narrow):
    client.indices.create(index="wide", body={"mappings": {"properties": {"text": {"type": "text"}}}})
    client.bulk(index="wide", body=[{"index": {}}, {"text": "fox"}] * 3, refresh=True)
    try:
        answer = reranking.rerank(SearchRequest([narrow, "wide"], {"query": QUERY, "size": 5}, window=50))
    finally:
        client.indices.delete(index="wide")
    assert (answer.skipped, len(answer.ranking.hits)) == (None, 20)
    assert json.loads(answer.body)["_shards"]["failed"] == 0


@pytest.fixture
def sourceless(client):
    name = f"nosource-{uuid.uuid4().hex[:8]}"
    mappings = {"_source": {"enabled": False}, "properties": {"text": {"type": "text"}}}
    client.indices.create(index=name, body={"settings": {"number_of_shards": 1}, "mappings": mappings})
    client.index(index=name, id="only", body={"text": "fox"}, refresh=True)
    yield name
    client.indices.delete(index=name)


def test_an_index_without_source_is_answered_as_ever(reranking, client, sourceless):
    hiding = {"query": QUERY, "_source": False}
    answer = reranking.rerank(SearchRequest(sourceless, json.dumps(hiding).encode()))
    assert "since _source is disabled" in answer.skipped
    assert without_took(answer.body) == without_took(direct(client, sourceless, hiding))
    unscored = reranking.rerank(SearchRequest(sourceless, json.dumps({"query": QUERY}).encode()))
    assert (unscored.skipped, unscored.ranking.unscored) == (None, 1)
    assert without_took(unscored.body) == without_took(direct(client, sourceless, {"query": QUERY}))


def test_no_hit_is_lost_where_one_index_of_several_refuses(reranking, client, index, sourceless):
    body = {"query": QUERY, "_source": False, "size": 100}
    names = [index, sourceless]
    answer = reranking.rerank(SearchRequest(names, json.dumps(body).encode()))
    assert answer.skipped == "some shards refused the window"
    assert without_took(answer.body) == without_took(direct(client, ",".join(names), body))


def test_what_a_script_throws_shrinks_nobodys_window(reranking, index):
    words = "Result window is too large, from + size must be less than or equal to: [1] but was [50]. …"
    script = {"source": f'throw new IllegalArgumentException("{words}")'}
    thrown = {"query": {"script_score": {"query": QUERY, "script": script}}, "size": 5}
    with pytest.raises(EngineRejected, match="runtime error"):
        reranking.search(index=index, body=thrown)
    answer = reranking.rerank(SearchRequest(index, {"query": QUERY, "size": 5}, window=50))
    assert (answer.skipped, answer.window, len(answer.ranking.hits)) == (None, 50, 50)
