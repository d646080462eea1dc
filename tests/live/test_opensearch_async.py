"""The asynchronous client against a real OpenSearch: what the synchronous one answers, and many at once."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from opensearchpy import AsyncOpenSearch, OpenSearch

from connectors.opensearch import AsyncRerankingClient, RerankingClient, SearchRequest
from sidecar.core.errors import ConfigurationError, EngineRejected, EngineUnreachable, IndexNotFound
from tests.support.live.foxes import DOCS, QUERY, ids, without_took
from tests.support.rerankers import ByLength

pytestmark = pytest.mark.live


class InThread(ByLength):
    """Remembers which threads it ranked in."""

    def __init__(self):
        self.threads = set()

    def rank_candidates(self, query, candidates):
        self.threads.add(threading.current_thread())
        return super().rank_candidates(query, candidates)


def awaited(url, searches, reranker=None):
    async def run():
        async with AsyncOpenSearch(url) as client:
            return await searches(AsyncRerankingClient(client, reranker or ByLength(), window=50))

    return asyncio.run(run())


BODIES = [
    {"query": QUERY, "size": 7},
    {"query": QUERY, "from": 45, "size": 10, "_source": False, "highlight": {"fields": {"text": {}}}},
    {"query": QUERY, "size": 0, "aggs": {"tags": {"terms": {"field": "tag"}}}},
    {"query": QUERY, "sort": ["docno"]},
]


def test_it_answers_as_the_synchronous_one(opensearch_url, reranking, index):
    async def searches(asynchronous):
        return [await asynchronous.search_raw(index=index, body=body) for body in BODIES]

    for body, answer in zip(BODIES, awaited(opensearch_url, searches), strict=True):
        assert without_took(answer) == without_took(reranking.search_raw(index=index, body=body)), body


def test_several_searches_at_once(opensearch_url, reranking, index):
    lines = [line for body in BODIES for line in ({"index": index}, body)]

    async def searches(asynchronous):
        return await asynchronous.msearch_raw(body=lines), await asynchronous.msearch(body=lines)

    raw, decoded = awaited(opensearch_url, searches)
    assert without_took(raw) == without_took(reranking.msearch_raw(body=lines))
    assert len(decoded["responses"]) == 4


def test_many_at_once_do_not_mix_and_the_model_runs_in_threads(opensearch_url, reranking, index):
    sizes = [1 + i % 9 for i in range(24)]
    reranker = InThread()

    async def searches(asynchronous):
        searches = [asynchronous.search(index=index, body={"query": QUERY, "size": size}) for size in sizes]
        return await asyncio.gather(*searches)

    whole = ids(reranking.search(index=index, body={"query": QUERY, "size": 9}))
    assert [ids(answer) for answer in awaited(opensearch_url, searches, reranker)] == [whole[:size] for size in sizes]
    assert threading.main_thread() not in reranker.threads


def test_all_else_is_the_clients_own(opensearch_url, index):
    async def searches(asynchronous):
        before = dict(asynchronous.client.transport.__dict__)
        counted = (await asynchronous.count(index=index))["count"]
        await asynchronous.search(index=index, body={"query": QUERY})
        assert before.keys() == asynchronous.client.transport.__dict__.keys()
        assert isinstance(await asynchronous.client.search(index=index, body={"query": QUERY}), dict)
        return counted

    assert awaited(opensearch_url, searches) == DOCS


def test_errors_are_those_of_the_synchronous_one(opensearch_url, reranking, index):
    async def missing(asynchronous):
        await asynchronous.search(index="nowhere", body={"query": QUERY})

    with pytest.raises(IndexNotFound, match="no such index \\[nowhere\\]"):
        awaited(opensearch_url, missing)

    async def wrong(asynchronous):
        await asynchronous.rerank(SearchRequest(index, b'{"query":'))

    with pytest.raises(EngineRejected) as caught:
        awaited(opensearch_url, wrong)
    assert (caught.value.status, json.loads(caught.value.body)["status"]) == (400, 400)
    with pytest.raises(EngineUnreachable, match="no connection"):
        awaited("http://127.0.0.1:9", missing)


def test_each_client_has_its_door(opensearch_url):
    async def searches(asynchronous):
        with pytest.raises(ConfigurationError, match="synchronous"):
            RerankingClient(asynchronous.client, ByLength()).search(body={})
        with pytest.raises(ConfigurationError, match="synchronous"):
            await AsyncRerankingClient(OpenSearch(opensearch_url), ByLength()).search(body={})

    awaited(opensearch_url, searches)
