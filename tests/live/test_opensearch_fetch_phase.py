"""Highlights and script fields for the page alone: the same bytes as for the whole window, by a second request."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid

import pytest
from opensearchpy import AsyncOpenSearch

from connectors.opensearch import AsyncRerankingClient, OpenSearchConnector, RerankingClient, SearchRequest
from sidecar.core.errors import EngineRejected, IndexNotFound
from tests.support.live.foxes import EITHER, QUERY, without_took
from tests.support.rerankers import ByLength, InOrder

pytestmark = pytest.mark.live

HIGHLIGHT = {"highlight": {"fields": {"text": {}, "tag": {}}}}
SCRIPT = {"script_fields": {"twice": {"script": "doc['docno'].value * 2"}}}
PER_HIT = [HIGHLIGHT, SCRIPT, {**SCRIPT, "_source": True}, {**HIGHLIGHT, **SCRIPT, "_source": ["docno"]}]
PAGES = [{}, {"from": 7, "size": 5}, {"from": 45, "size": 10}, {"from": 100, "size": 40}, {"from": 500}]
OPTIONS = [
    {},
    {"aggs": {"tags": {"terms": {"field": "tag"}}}, "suggest": {"s": {"text": "fux", "term": {"field": "text"}}}},
    {"fields": ["docno"], "version": True, "seq_no_primary_term": True, "track_total_hits": 5},
    {"post_filter": {"range": {"docno": {"gte": 20}}}, "sort": ["_score"]},
    {"collapse": {"field": "tag"}, "explain": True},
    {"min_score": 0.0001},
    {
        "query": {
            "bool": {
                "must": [{"match": {"text": {"query": "fox", "_name": "n"}}}],
                "filter": {"range": {"docno": {"lt": 90}}},
            }
        }
    },
]
BODIES = [
    {"query": EITHER, **hit, **page, **option} for hit, page, option in itertools.product(PER_HIT, PAGES, OPTIONS)
]


@pytest.fixture
def reranking(client):
    return RerankingClient(client, ByLength(), window=50, fetch_phase="window")


@pytest.fixture
def paging(client):
    return RerankingClient(client, ByLength(), window=50, fetch_phase="page")


def test_a_page_has_the_bytes_it_has_in_the_window(reranking, paging, index):
    assert len(BODIES) == 140
    twice = 0
    for body in BODIES:
        theirs = reranking.search_raw(index=index, body=body)
        first_stage = paging.connector.fetch(SearchRequest(index, body, window=50))
        twice += first_stage.native.plan.whole is not None
        assert without_took(paging.search_raw(index=index, body=body)) == without_took(theirs), body
    assert twice == 140 * 5 // 7


def test_the_second_search_is_for_the_page_alone(paging, index):
    sent = []
    flow = paging.connector.search_flow(SearchRequest(index, {"query": QUERY, **HIGHLIGHT, "aggs": {}}))
    step = next(flow)
    while step.path is not None:  # which search pipeline it goes through
        step = flow.send(b"{}")
    sent.append(step.body)
    assert b"highlight" not in sent[0]
    assert b"aggs" in sent[0]


@pytest.mark.parametrize("body", [{"query": QUERY, "from": 5000}, {"query": {"term": {"tag": "nobody"}}}])
def test_what_makes_no_sense_is_refused_where_nothing_is_found_too(paging, reranking, index, body):
    assert json.loads(paging.search_raw(index=index, body=body | HIGHLIGHT))["hits"]["hits"] == []
    for client in (paging, reranking):
        with pytest.raises(EngineRejected, match="Unknown key for a VALUE_STRING in .highlight"):
            client.search_raw(index=index, body=body | {"highlight": "x"})


@pytest.mark.parametrize(
    "params", [{"rest_total_hits_as_int": True}, {"filter_path": "hits.hits.highlight"}, {"q": "text:fox"}]
)
def test_parameters_of_the_url(reranking, paging, index, params):
    body = {**HIGHLIGHT, "size": 3} if "q" in params else {"query": QUERY, **HIGHLIGHT, "size": 3}
    theirs = reranking.search_raw(index=index, body=body, **params)
    assert without_took(paging.search_raw(index=index, body=body, **params)) == without_took(theirs)


def test_several_searches_and_the_asynchronous_client(opensearch_url, reranking, paging, index):
    lines = [line for body in BODIES[::9] for line in ({"index": index}, body)]
    lines += [{"index": "nowhere"}, {"query": QUERY, **HIGHLIGHT}, {}, {"size": 0}]
    theirs = without_took(reranking.msearch_raw(body=lines))
    assert without_took(paging.msearch_raw(body=lines)) == theirs

    async def searches():
        async with AsyncOpenSearch(opensearch_url) as client:
            asynchronous = AsyncRerankingClient(client, ByLength(), window=50, fetch_phase="page")
            return await asynchronous.msearch_raw(body=lines)

    assert without_took(asyncio.run(searches())) == theirs


@pytest.fixture
def twins(client):
    """Two indexes with the same ids and other texts."""
    names = [f"twin-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for name in names:
        client.indices.create(index=name, body={"settings": {"number_of_shards": 2}})
        lines = [line for i in range(5) for line in ({"index": {"_id": str(i)}}, {"text": f"fox {name}" + " x" * i})]
        client.bulk(index=name, body=lines, refresh=True)
    yield names
    client.indices.delete(index=",".join(names), ignore_unavailable=True)


def test_equal_ids_in_two_indexes_are_two_hits(reranking, paging, twins):
    body = {"query": QUERY, **HIGHLIGHT, "size": 7}
    theirs = reranking.search_raw(index=twins, body=body)
    assert without_took(paging.search_raw(index=twins, body=body)) == without_took(theirs)


@pytest.fixture
def routed(client):
    """Two indexes behind one alias; in each, documents that differ by nothing but their routing share an id."""
    mark = uuid.uuid4().hex[:8]
    names = [f"routed-{mark}-{i}" for i in range(2)]
    mappings = {"properties": {"docno": {"type": "integer", "store": True}}}
    settings = {"number_of_shards": 5, "number_of_replicas": 0}
    body = {"settings": settings, "mappings": mappings, "aliases": {f"routed-{mark}": {}}}
    for name in names:
        client.indices.create(index=name, body=body)
        for docid, routing in itertools.product("123", [None, *"abcdefgh"]):
            text = f"fox of {name} by {routing}" + " x" * (ord(docid) + ord(routing or "i"))
            params = {"routing": routing} if routing else {}
            client.index(index=name, id=docid, body={"text": text, "docno": int(docid)}, params=params)
    client.indices.refresh(index=",".join(names))
    yield f"routed-{mark}"
    client.indices.delete(index=",".join(names))


@pytest.mark.parametrize("more", [{}, {"_source": False}, {"stored_fields": ["docno"]}, {"fields": ["docno"]}])
def test_documents_that_share_an_id_are_never_taken_for_each_other(client, reranking, paging, routed, more):
    whole = client.search(index=routed, body={"query": QUERY, "size": 50})["hits"]["hits"]
    assert len({(hit["_index"], hit["_id"]) for hit in whole}) == 6 < len(whole)
    for page in ({"size": 50}, {"size": 1}, {"size": 4}, {"from": 3, "size": 5}, {"from": 9, "size": 50}):
        body = {"query": QUERY, **HIGHLIGHT, **SCRIPT, **more, **page}
        theirs = reranking.search_raw(index=routed, body=body)
        ours = paging.search_raw(index=routed, body=body)
        assert without_took(ours) == without_took(theirs), body
        for hit in json.loads(ours)["hits"]["hits"]:
            (words,) = hit["highlight"]["text"]
            assert words.startswith(f"<em>fox</em> of {hit['_index']} by {hit.get('_routing')}")


def test_a_hit_deleted_meanwhile_stays_without_its_highlight(client, twins):
    connector = OpenSearchConnector(client, fetch_phase="page")
    request = SearchRequest(twins[0], {"query": QUERY, **HIGHLIGHT})
    first_stage = connector.fetch(request)
    client.delete(index=twins[0], id="3", refresh=True)
    ranking = InOrder(turned=True).rank_candidates("", first_stage.candidates)
    raw = connector.finish(request, first_stage, ranking)
    hits = client.transport.deserializer.loads(raw.decode())["hits"]["hits"]
    assert [hit["_id"] for hit in hits] == [hit.candidate.docid for hit in ranking.hits]
    assert {hit["_id"]: "highlight" in hit for hit in hits} == {"0": True, "1": True, "2": True, "3": False, "4": True}


def test_an_index_deleted_meanwhile_is_an_error_as_for_any_search(client, twins):
    connector = OpenSearchConnector(client, fetch_phase="page")
    request = SearchRequest(twins[0], {"query": QUERY, **HIGHLIGHT})
    first_stage = connector.fetch(request)
    client.indices.delete(index=twins[0])
    with pytest.raises(IndexNotFound):
        connector.finish(request, first_stage, InOrder().rank_candidates("", first_stage.candidates))
