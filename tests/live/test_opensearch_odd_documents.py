"""Documents and clusters as they come: long, broken, without source, with failing shards."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from connectors.opensearch import OpenSearchConnector, RerankingClient, SearchRequest
from sidecar.core.documents import MAX_CHARACTERS, PassageFields, nothing_to_read
from sidecar.core.errors import EngineRejected
from tests.support.live.foxes import QUERY, direct, ids, without_took
from tests.support.rerankers import ByLength

pytestmark = pytest.mark.live

ODD = {
    "array": '"text":["fox"' + ',"fox"' * 5000 + "]",
    "long": '"text":"fox ' + "x " * 600_000 + '"',
    "surrogate": '"text":"fox","bad":"\\udc00 \\ud83d"',
    "numbers": '"text":"fox","n":[1e400,-1e400,0.10,12345678901234567890123456789]',
    "controls": '"text":"fox \\u0000\\u001f\\u007f\\u2028"',
    "deep": '"text":"fox","deep":' + "[" * 15 + "]" * 15,
    "null": '"text":["fox",null,true,{"a":1}],"title":null',
    "binary": '"text":"fox","raw":"' + base64.b64encode(bytes(range(256))).decode() + '"',
}


@pytest.fixture(scope="module")
def odd(client):
    name = f"odd-{uuid.uuid4().hex[:8]}"
    off = {field: {"type": "object", "enabled": False} for field in ("n", "bad", "deep")}
    properties = {"text": {"type": "text"}, "raw": {"type": "binary"}, **off}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    client.indices.create(
        index=name, body={"settings": settings, "mappings": {"dynamic": False, "properties": properties}}
    )
    taken = set()
    for docid, members in ODD.items():
        line = f'{{"index":{{"_id":"{docid}"}}}}\n{{{members}}}\n'
        if client.bulk(index=name, body=line, refresh=True)["errors"] is False:
            taken.add(docid)
    assert taken >= ODD.keys() - {"null"}  # an object where a text should be is refused
    yield name
    client.indices.delete(index=name)


@pytest.mark.parametrize("extra", [{}, {"_source": False}])
def test_odd_documents_are_reranked_and_keep_their_bytes(client, odd, extra):
    reranking = RerankingClient(client, ByLength())
    body = {"query": QUERY, **extra}
    answer = reranking.rerank(SearchRequest(odd, body))
    assert answer.skipped is None
    lengths = {hit.candidate.docid: len(hit.candidate.passage.text) for hit in answer.ranking.hits}
    assert lengths["long"] == MAX_CHARACTERS
    assert lengths["array"] == 5001 * 4 - 1
    theirs = direct(client, odd, body)
    for hit in ("array", "surrogate", "numbers", "controls", "deep", "binary"):
        assert hit in lengths
        if not extra:
            assert ODD[hit].encode() in answer.body
            assert ODD[hit].encode() in theirs
    assert len(answer.body) == pytest.approx(len(theirs), abs=400)


def test_the_fields_that_could_have_been_named(client, odd):
    connector = OpenSearchConnector(client, PassageFields(("headline",), ("abstract",)))
    first_stage = connector.fetch(SearchRequest(odd, {"query": QUERY}))
    assert all(candidate.passage.is_empty for candidate in first_stage.candidates)
    said = nothing_to_read(first_stage.native.documents(), PassageFields(("none",), ("none",)))
    assert {name for name in ("bad", "raw", "text") if name in said} == {"bad", "raw", "text"}


@pytest.fixture
def halves(client):
    """Two indexes, of which one fails where a script meets it."""
    names = [f"half-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for name, source in zip(names, ({"text": "fox", "n": 1}, {"text": "fox", "n": "x"}), strict=True):
        kind = {"type": "integer"} if source["n"] == 1 else {"type": "text"}
        properties = {"text": {"type": "text"}, "n": kind}
        client.indices.create(index=name, body={"mappings": {"properties": properties}})
        client.bulk(index=name, body=[{"index": {}}, source] * 3, refresh=True)
    yield ",".join(names)
    client.indices.delete(index=",".join(names))


def test_failed_shards_are_kept_and_said(client, halves):
    body = {"query": {"script_score": {"query": QUERY, "script": {"source": "doc['n'].value + 1"}}}}
    answer = RerankingClient(client, ByLength()).rerank(SearchRequest(halves, body))
    ours, theirs = json.loads(answer.body), json.loads(direct(client, halves, body))
    assert (answer.skipped, ours["_shards"]) == (None, theirs["_shards"])
    assert ours["_shards"]["failed"] > 0
    assert sorted(ids(ours)) == sorted(ids(theirs))
    strict = {"allow_partial_search_results": "false"}
    with pytest.raises(EngineRejected):
        RerankingClient(client, ByLength()).search(index=halves, body=body, **strict)


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":{"match":{"text":"fox"}},"a":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"query":' + b'{"bool":{"must":' * 25 + b'{"match":{"text":"fox"}}' + b"}}" * 25 + b"}",
        b'{"query":{"bool":{"should":[' + b",".join([b'{"match":{"text":"fox"}}'] * 3000) + b"]}}}",
        b'{"query":{"match":{"text":"fox"}},"size":1,"size":2}',
        b'{"query":{"match":{"text":"\xff"}}}',
        b'{"query":{"match":{"text":1e400}}}',
        b"null",
    ],
)
def test_pathological_bodies_are_answered_as_opensearch_answers(client, odd, body):
    connection, anything = client.transport.get_connection(), range(400, 600)
    status, _, theirs = connection.perform_request("POST", f"/{odd}/_search", {}, body, ignore=anything)
    if status != 200:
        with pytest.raises(EngineRejected) as refused:
            RerankingClient(client, ByLength()).search(index=odd, body=body)
        assert (refused.value.status, refused.value.body) == (status, theirs.encode())
        return
    ours = RerankingClient(client, ByLength()).rerank(SearchRequest(odd, body))
    assert ours.skipped is None or without_took(ours.body) == without_took(theirs.encode())
