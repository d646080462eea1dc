"""Reranked searches against a real OpenSearch, compared with what it answers when asked directly."""

from __future__ import annotations

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.opensearch.client import RerankingClient
from connectors.opensearch.connector import SearchRequest
from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from tests.support.live.foxes import DOCS, EITHER, QUERY, direct, hits, ids, without_took
from tests.support.rerankers import ByLength

pytestmark = pytest.mark.live


def test_pages_are_slices_of_one_list(reranking, index):
    whole = reranking.search(index=index, body={"query": EITHER, "size": DOCS})
    pages = [reranking.search(index=index, body={"query": EITHER, "from": at, "size": 7}) for at in range(0, DOCS, 7)]
    assert [hit for page in pages for hit in page["hits"]["hits"]] == whole["hits"]["hits"]
    assert len(set(ids(whole))) == DOCS


def test_scores_fall_stay_positive_and_the_highest_is_on_every_page(reranking, client, index):
    whole = reranking.search(index=index, body={"query": EITHER, "size": DOCS})
    scores = [hit["_score"] for hit in whole["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    late = reranking.search(index=index, body={"query": EITHER, "from": 60, "size": 3})
    assert late["hits"]["max_score"] == whole["hits"]["max_score"] == scores[0]
    first_stage = client.search(index=index, body={"query": EITHER, "size": DOCS})
    assert ids(whole)[50:] == ids(first_stage)[50:]


def test_the_longest_text_of_the_window_comes_first(reranking, client, index):
    window = client.search(index=index, body={"query": QUERY, "size": 50})["hits"]["hits"]
    lengths = [len(hit["_source"]["text"]) for hit in window]
    answer = reranking.search(index=index, body={"query": QUERY, "size": 5})
    found = [len(hit["_source"]["text"]) for hit in answer["hits"]["hits"]]
    assert found == sorted(lengths, reverse=True)[:5]
    assert answer["hits"]["hits"][0]["_score"] == max(lengths) - 60 + 1


def test_all_else_is_untouched_byte_for_byte(reranking, client, index):
    body = {
        "query": QUERY,
        "aggs": {"tags": {"terms": {"field": "tag"}}, "mean": {"avg": {"field": "docno"}}},
        "highlight": {"fields": {"text": {}}},
        "fields": ["docno"],
        "docvalue_fields": ["tag"],
        "explain": True,
        "version": True,
        "seq_no_primary_term": True,
        "suggest": {"s": {"text": "fux", "term": {"field": "text"}}},
    }
    asked = direct(client, index, body | {"size": 50})
    answered = reranking.search_raw(index=index, body=body | {"size": 9, "from": 3})
    head, tail = rb'"took":\d+(.*"max_score":)', rb'(\]\},"aggregations":.*)'
    for part in (head, tail):
        (ours,), (theirs,) = (re.findall(part, raw, re.DOTALL) for raw in (answered, asked))
        assert ours == theirs
    assert len(hits(answered)) == 9
    assert set(hits(answered)) <= set(hits(asked))
    assert (
        b'"price":0.10,"big":1234567890123456789012345,"u":"\\u00e9\\u003c","bad":"\\ud83d", "odd" : [ 1e400 ]'
        in answered
    )


@pytest.mark.parametrize(
    "filtered",
    [
        {"_source": False},
        {"_source": ["docno"]},
        {"_source": {"excludes": ["t*"]}},
        {"stored_fields": ["tag"]},
        {"_source": False, "fields": ["docno", "ti*"]},
    ],
)
def test_hidden_text_is_read_and_stays_hidden(reranking, client, index, filtered):
    body = {"query": EITHER, "size": 12, "from": 2}
    plain = reranking.search(index=index, body=body)
    raw = reranking.search_raw(index=index, body=body | filtered)
    assert ids(json.loads(raw)) == ids(plain)
    assert b"fox" not in re.sub(rb'"hidden":"fox"', b"", raw.replace(index.encode(), b""))
    assert set(hits(raw)) <= set(hits(direct(client, index, {"query": EITHER, "size": 50} | filtered)))


def test_url_source_filters_hide_too(reranking, index):
    plain = reranking.search(index=index, body={"query": QUERY})
    for hiding in ({"_source": False}, {"_source_includes": "docno"}, {"_source_excludes": ["text", "title"]}):
        answer = reranking.search(index=index, body={"query": QUERY}, **hiding)
        assert ids(answer) == ids(plain)
        assert not any("text" in hit.get("_source", {}) or "fields" in hit for hit in answer["hits"]["hits"])


def test_url_parameters_override_the_body(reranking, index):
    whole = ids(reranking.search(index=index, body={"query": QUERY, "size": 20}))
    assert (
        ids(reranking.search(index=index, body={"query": QUERY, "from": 9, "size": 9}, from_=2, size=3)) == whole[2:5]
    )
    assert ids(reranking.search(index=[index], q="text:fox", size=4)) == whole[:4]
    assert reranking.rerank(SearchRequest(index, params={"q": "text:fox"})).ranking.query == "fox"


def test_a_sort_by_score_alone_is_reranked(reranking, index):
    plain = reranking.search(index=index, body={"query": QUERY})
    for sort in ("_score", ["_score"], [{"_score": {"order": "desc"}}]):
        assert reranking.search(index=index, body={"query": QUERY, "sort": sort})["hits"] == plain["hits"]


def test_no_hits(reranking, client, index):
    body = {"query": {"match": {"text": "nothinglikeit"}}}
    assert without_took(reranking.search_raw(index=index, body=body)) == without_took(direct(client, index, body))


def test_a_pretty_response_is_reranked_too(reranking, index):
    plain = reranking.search(index=index, body={"query": QUERY})
    assert ids(reranking.search(index=index, body={"query": QUERY}, pretty=True)) == ids(plain)


@pytest.mark.parametrize(
    "feature",
    [
        {"collapse": {"field": "tag", "inner_hits": {"name": "same", "size": 2, "_source": False}}},
        {"rescore": {"window_size": 20, "query": {"rescore_query": {"match": {"hidden": "fox"}}}}},
        {"post_filter": {"term": {"tag": "t1"}}},
        {"min_score": 0.0001, "track_scores": True, "track_total_hits": False},
        {"script_fields": {"twice": {"script": {"source": "doc['docno'].value * 2"}}}, "_source": True},
        {"indices_boost": [{"*": 2.0}], "profile": True},
    ],
)
def test_what_else_a_search_can_do_still_works(reranking, client, index, feature):
    body = {"query": QUERY, "size": 50} | feature
    answered = reranking.search_raw(index=index, body=body)
    assert sorted(hits(answered)) == sorted(hits(direct(client, index, body)))
    scores = [hit["_score"] for hit in json.loads(answered)["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert max(scores) == json.loads(answered)["hits"]["max_score"]


def test_text_in_objects_and_nested_documents(client):
    name = f"nested-{uuid.uuid4().hex[:8]}"
    text = {"properties": {"text": {"type": "text"}}}
    mappings = {"properties": {"all": {"type": "text"}, "meta": text, "parts": {"type": "nested", **text}}}
    client.indices.create(index=name, body={"mappings": mappings})
    document = {"all": "fox", "meta": {"text": "A title"}, "parts": [{"text": "one"}, {"text": "two"}]}
    client.index(index=name, body=document, refresh=True)
    reranking = RerankingClient(client, ByLength(), fields=PassageFields(("meta.text",), ("parts.text",)))
    for extra in ({}, {"_source": False}, {"_source": ["all"]}):
        body = {"query": {"match": {"all": "fox"}}} | extra
        answer = reranking.rerank(SearchRequest(name, body))
        assert answer.ranking.hits[0].candidate.passage == Passage("A title", "one\ntwo")
        assert hits(answer.body) == hits(direct(client, name, body))
    client.indices.delete(index=name)


def test_searches_from_many_threads_do_not_mix(reranking, index):
    sizes = [1 + i % 9 for i in range(48)]
    whole = ids(reranking.search(index=index, body={"query": QUERY, "size": 9}))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda size: reranking.search(index=index, body={"query": QUERY, "size": size}), sizes))
    assert [ids(answer) for answer in answers] == [whole[:size] for size in sizes]


def test_the_users_client_stays_as_it_is(reranking, client, index):
    before = dict(client.transport.__dict__)
    reranking.search(index=index, body={"query": QUERY})
    assert client.transport.__dict__ == before
    assert isinstance(client.search(index=index, body={"query": QUERY}), dict)
    assert reranking.count(index=index)["count"] == DOCS
    assert reranking.indices is client.indices
