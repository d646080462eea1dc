"""An index of foxes, a reranker without a model, and OpenSearch's own answers to compare with."""

from __future__ import annotations

import json
import re
import uuid

import pytest

from connectors.opensearch.client import RerankingClient
from sidecar.core.candidates import Ranked, Ranking

DOCS = 130
QUERY = {"match": {"text": "fox"}}
# Finds every document, those without text among them.
EITHER = {"bool": {"should": [{"match": {"text": "fox"}}, {"match": {"hidden": "fox"}}]}}


class ByLength:
    """Scores a passage by the length of its text, less 60: some scores are negative, some equal."""

    def rank_candidates(self, query, candidates):
        scored = [(c, len(c.passage.text) - 60.0) for c in candidates if not c.passage.is_empty]
        scored.sort(key=lambda pair: (-pair[1], pair[0].rank))
        hits = [Ranked(c, rank, score, score) for rank, (c, score) in enumerate(scored, 1)]
        empty = [c for c in candidates if c.passage.is_empty]
        hits += [Ranked(c, rank, None, None) for rank, c in enumerate(empty, len(hits) + 1)]
        return Ranking(query, tuple(hits), {})


def source(i):
    """A document whose bytes a re-encoder would change. Every tenth has no text where a model looks for it."""
    text = b'"text":"' + b"fox " * (1 + i % 7) + b"x" * (i * 37 % 101) + b'"' if i % 10 else b'"title":"","text":" "'
    awkward = b'"price":0.10,"big":1234567890123456789012345,"u":"\\u00e9\\u003c","bad":"\\ud83d", "odd" : [ 1e400 ]'
    return b'{"docno":%d,"tag":"t%d",%s,"hidden":"fox",%s}' % (i, i % 3, text, awkward)


@pytest.fixture(scope="session")
def index(client):
    name = f"fox-{uuid.uuid4().hex[:8]}"
    text = {"type": "text"}
    properties = {"title": text, "text": text, "hidden": text, "tag": {"type": "keyword"}, "docno": {"type": "integer"}}
    off = {name: {"type": "object", "enabled": False} for name in ("big", "bad", "odd", "u")}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    client.indices.create(
        index=name,
        body={"settings": settings, "mappings": {"properties": {**properties, **off, "big": {"type": "double"}}}},
    )
    lines = b"".join(b'{"index":{"_id":"%d"}}\n%s\n' % (i, source(i)) for i in range(DOCS))
    assert client.bulk(body=lines, index=name, refresh=True)["errors"] is False
    yield name
    client.indices.delete(index=name)


@pytest.fixture
def reranking(client):
    return RerankingClient(client, ByLength(), window=50)


def direct(client, index, body, **params):
    """Ask OpenSearch itself, for bytes."""
    connection = client.transport.get_connection()
    _, _, text = connection.perform_request("POST", f"/{index}/_search", params, json.dumps(body).encode())
    return text.encode("utf-8", "surrogatepass")


def without_took(raw):
    return re.sub(rb'"took":\d+', b"", raw)


def hits(raw):
    """Each hit's own bytes, its score cut out."""
    raw = re.split(b',"(?:aggregations|profile)":', raw)[0]
    (array,) = re.findall(rb'"hits":\[(\{"_(?:index|shard)":.*\})\]\}', raw, re.DOTALL)
    return [re.sub(rb'"_score":[^,}]+', b"", hit) for hit in re.split(rb'(?<=\}),(?=\{"_(?:index|shard)":)', array)]


def ids(answer):
    return [hit["_id"] for hit in answer["hits"]["hits"]]
