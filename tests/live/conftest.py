"""Fixtures of the live tests: indexes of foxes and of other animals, and a client that reranks."""

from __future__ import annotations

import uuid

import pytest

from connectors.opensearch import RerankingClient
from connectors.opensearch.admin.bulk import IndexOptions
from tests.support.live import differential
from tests.support.live.foxes import DOCS, source
from tests.support.rerankers import ByLength


@pytest.fixture(scope="session")
def index(client):
    """An index of foxes (`foxes.source`)."""
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
    """A reranking client whose order is that of the passages' lengths."""
    return RerankingClient(client, ByLength(), window=50)


@pytest.fixture(scope="module")
def targets(client):
    """One index of one shard, one of three; then both by pattern, by alias and by list."""
    mark = uuid.uuid4().hex[:8]
    names = [f"diff-{mark}-one", f"diff-{mark}-three"]
    for shards, name in zip((1, 3), names, strict=True):
        made = IndexOptions().body()
        made["settings"]["index"]["number_of_shards"] = shards
        made["mappings"]["properties"] |= {
            "tag": {"type": "keyword"},
            "docno": {"type": "integer", "store": True},
            "big": {"type": "double"},
            "parts": {"type": "nested", "properties": {"name": {"type": "text"}}},
        }
        client.indices.create(index=name, body={**made, "aliases": {f"alias-{mark}": {}}})
        answer = client.bulk(body=differential.lines(differential.DOCS * (shards - 1)), index=name, refresh=True)
        assert answer["errors"] is False
    yield [*names, f"diff-{mark}-*", f"alias-{mark}", ",".join(names)]
    client.indices.delete(index=",".join(names))


@pytest.fixture(params=[pytest.param(True, marks=pytest.mark.soak), False], ids=["all", "a third"])
def searches(request, targets):
    """The searches of `differential` for those targets: `make test` sends a third, `make soak` all."""
    return differential.searches(targets, whole=request.param)


@pytest.fixture
def animals(targets):
    """The first of them."""
    return targets[0]
