"""The service in front of a real OpenSearch: nothing changes but what was asked for, whatever client asks."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from urllib.parse import urlencode

import pytest
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk, scan

from tests.support.live.differential import (
    SKIPPED,
    WINDOW,
    taken_apart,
    window_sized,
    without_profile,
)
from tests.support.live.foxes import direct
from tests.support.servers.scripted import FAKE
from tests.support.servers.served import served

pytestmark = pytest.mark.live
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def service(opensearch_url):
    with served(opensearch_url, (*FAKE, "constant"), window=WINDOW, budget_ms=60_000) as running:
        yield running


def asking(body):
    """The same body, asking to be reranked."""
    ext = body.get("ext", {})
    return {**body, "ext": {**ext, "rerank": ext.get("rerank", {})}}


def test_hundreds_of_searches_change_in_nothing_but_scores(service, client, searches):
    outcomes = Counter()
    for target, body, params in searches:
        path = f"/{target}/_search?{urlencode(params)}".rstrip("?")
        answer = service.ask("POST", path, json.dumps(asking(body)).encode(), JSON)
        outcomes[answer.headers["x-rerank-status"], answer.headers.get("x-rerank-reason", "")] += 1
        larger, start, size = window_sized(body)
        rest, hits = taken_apart(direct(client, target, larger, **params))
        our_rest, our_hits = taken_apart(answer.body)
        assert without_profile(our_rest, body) == without_profile(rest, body), (target, body, params)
        assert our_hits == hits[start : start + size], (target, body, params)
    # Some ask for scores that no hit has.
    empty = outcomes.pop(("skipped", "there are no hits"), 0)
    assert outcomes == {("applied", ""): len(searches) - empty}
    assert empty < len(searches) / 20


def test_what_is_skipped_is_opensearchs_own_answer_with_the_reason(service, client, animals):
    for extra, reason in SKIPPED:
        body = {"query": {"match": {"text": "fox"}}, **extra}
        answer = service.ask("POST", f"/{animals}/_search", json.dumps(asking(body)).encode(), JSON)
        assert (answer.status, answer.headers["x-rerank-status"]) == (200, "skipped"), body
        assert answer.headers["x-rerank-reason"].startswith(reason), body
        plain = {name: value for name, value in body.items() if name != "ext"}
        assert without_took(answer.body) == without_took(direct(client, animals, plain)), body


def without_took(raw):
    return re.sub(rb'"took" ?: ?\d+', b"", raw)


def test_everything_else_is_the_same_bytes(service, client, opensearch_url, animals):
    """A client reads the same through the service as beside it, error answers included."""
    for method, target, body in [
        ("GET", "/", None),
        ("GET", f"/{animals}", None),
        ("GET", f"/{animals}/_doc/7?_source_includes=docno", None),
        ("GET", f"/{animals}/_doc/none", None),
        ("HEAD", f"/{animals}/_doc/7", None),
        ("GET", f"/{animals}/_mapping", None),
        ("POST", f"/{animals}/_count", b'{"query":{"match":{"text":"fox"}}}'),
        ("POST", f"/{animals}/_search", b'{"query":{"match":{"text":"fox"}},"size":3}'),
        ("GET", f"/{animals}/_search?q=text:fox&pretty", None),
        ("POST", f"/{animals}/_search", b'{"query":{"nonsense":{}}}'),
        ("POST", "/%3C" + animals + "-%7Bnow%2Fd%7D%3E/_search", b"{}"),
        ("GET", "/_cat/indices?format=json&h=index", None),
        ("POST", f"/{animals}/_mget", b'{"ids":["1","2"]}'),
        ("POST", "/_analyze", b'{"text":"the quick fox","analyzer":"english"}'),
        ("PATCH", f"/{animals}", b"{}"),
    ]:
        ours = service.ask(method, target, body, JSON if body else None)
        theirs = ask_directly(opensearch_url, method, target, body, JSON if body else None)
        assert (ours.status, without_took(ours.body)) == (theirs.status, without_took(theirs.body)), target
        assert without_length(ours.headers) == without_length(theirs.headers), target


def without_length(headers):
    return {name: value for name, value in headers.items() if name not in {"content-length", "connection"}}


def ask_directly(url, *request):
    from tests.support.servers.served import ask

    return ask(url, *request)


def test_opensearchs_own_client_works_through_it(service):
    name = f"through-{uuid.uuid4().hex[:8]}"
    client = OpenSearch([service.url], http_compress=True)
    try:
        assert client.indices.create(index=name)["acknowledged"]
        assert not client.indices.exists(index=f"{name}-none")
        actions = ({"_index": name, "_id": str(i), "text": f"fox {i}"} for i in range(120))
        assert bulk(client, actions, refresh=True) == (120, [])
        assert client.index(index=name, id="x", body={"text": "fox x"}, refresh=True)["result"] == "created"
        assert client.get(index=name, id="x")["_source"] == {"text": "fox x"}
        asked = {"query": {"match": {"text": "fox"}}, "ext": {"rerank": {"explain": True}}, "size": 5}
        answer = client.search(index=name, body=asked)
        assert answer["ext"]["rerank"]["status"] == "applied"
        assert len(answer["hits"]["hits"]) == 5
        several = client.msearch(index=name, body=[{}, asked, {}, {"query": {"match_all": {}}}])
        assert [response["status"] for response in several["responses"]] == [200, 200]
        assert several["responses"][0]["ext"]["rerank"]["status"] == "applied"
        assert len(list(scan(client, index=name, size=50))) == 121
        assert client.update(index=name, id="x", body={"doc": {"text": "cat"}})["result"] == "updated"
        assert client.delete(index=name, id="x")["result"] == "deleted"
        assert client.count(index=name)["count"] >= 120
    finally:
        client.indices.delete(index=name)
        client.close()
