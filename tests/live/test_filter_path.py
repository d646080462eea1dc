"""`filter_path` against OpenSearch's own: dozens of lists of paths, the same bytes."""

from __future__ import annotations

import re
import uuid

import pytest

from connectors.opensearch import OpenSearchConnector, SearchRequest
from tests.support.live.foxes import direct
from tests.support.rerankers import InOrder

pytestmark = pytest.mark.live

SOURCE = (
    '{"text":"fox","name":"n","price":0.10,"big":1234567890123456789012345,"e":{},"ea":[],"n":null,'
    '"o":{"name":"x","in":{"name":"y","z":1,"e":{}}},"arr":[{"name":"a","q":1},{"q":2},3,[{"name":"b"}],[],{}],'
    '"a.b":{"name":"dot","c":1},"nums":[1,2],"w" : [ 1, 2 ],"u":"\\u00e9\\u003c","t":1E-7,"title":"A fox"}'
)
PATHS = """
    took | hits | hits.hits | hits.total | hits.total.value | hits.max_score | _shards.* | _shards.total,timed_out
    hits.hits._id | took,hits.hits._id | hits.hits._source.title | hits.hits._source | hits.hits._s*
    hits.hits._score
    hits.hits._index,hits.hits._source.name | hits.hits._source.o.in | hits.hits._source.o.in.name
    hits.hits._source.e
    hits.hits._source.ea | hits.hits._source.e* | hits.hits._source.n | hits.hits._source.nums | hits.hits._source.arr
    hits.hits._source.arr.name | hits.hits._source.arr.q | hits.hits._source.arr.arr | hits.hits._source.w
    hits.hits._source.a\\.b | hits.hits._source.a\\.b.c | hits.hits._source.a.b | hits.hits._source.u
    hits.hits._source.u,hits.hits._source.t | * | ** | *.* | *.total | **.name | **.**.name | **.in.name | **.e
    hits.** | hits.**.name | hits.**.in.** | name
    hits.*.*.name | h*s.h*._s*.n* | hits.hits.*.name | *ook | t* | nothing | nothing.at.all | took.x | took, timed_out
    took,,hits.total | hits. | hits..total | .hits | .. | hits.hits.0 | hits.hits.fields | aggregations
    aggregations.*
    aggregations.names.buckets.key | **.key | **.doc_count | hits.hits.highlight | hits.hits.highlight.* | **.text
    -took | -hits | -hits.hits | -hits.hits._source | -hits.hits._source.o | -hits.hits._source.* | -**.name | -*
    -**
    -nothing | -took,-_shards | -hits.hits._source.nums,-hits.hits._source.arr.q | -aggregations | -**.e | -hits.total
    hits,-hits.total | hits.hits._source,-hits.hits._source.o | hits.hits._source,-**.name
    **.name,-hits.hits._source.o | hits.hits,-hits.hits._source,-hits.hits._score | *,-hits | -hits,hits
    took,-took | hits.hits._source.*,-**.q
"""
LISTS = [paths.strip() for line in PATHS.splitlines() for paths in line.split(" | ") if paths.strip()]


@pytest.fixture(scope="module")
def odd(client):
    name = f"paths-{uuid.uuid4().hex[:8]}"
    fields = {"text": {"type": "text"}, "title": {"type": "text"}, "name": {"type": "keyword"}}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    client.indices.create(index=name, body={"settings": settings, "mappings": {"dynamic": False, "properties": fields}})
    lines = "".join(f'{{"index":{{"_id":"{i}"}}}}\n{SOURCE}\n' for i in range(2)) + '{"index":{}}\n{"text":"fox fox"}\n'
    assert client.bulk(body=lines, index=name, refresh=True)["errors"] is False
    yield name
    client.indices.delete(index=name)


@pytest.mark.parametrize("paths", LISTS)
def test_what_is_left_is_what_opensearch_leaves(client, odd, paths):
    body = {
        "query": {"match": {"text": "fox"}},
        "aggs": {"names": {"terms": {"field": "name"}}},
        "highlight": {"fields": {"text": {}}},
    }
    connector = OpenSearchConnector(client)
    first_stage = connector.fetch(SearchRequest(odd, body, {"filter_path": paths}))
    assert first_stage.skipped is None
    assert [candidate.passage.title for candidate in first_stage.candidates] == ["", "A fox", "A fox"]
    ours = connector.respond(first_stage, InOrder().rank_candidates("", first_stage.candidates))
    assert plain(ours) == plain(direct(client, odd, body, filter_path=paths))


def plain(raw: bytes) -> bytes:
    """Without what differs from run to run or is ours to change: time, scores."""
    return re.sub(rb'("took"|"_score"|"max_score"):[^,}]+', rb"\1:", raw)
