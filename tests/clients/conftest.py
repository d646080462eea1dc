"""Fixtures of the clients: the service in front of a real OpenSearch, and requests as files."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.support.servers.served import served


@pytest.fixture(scope="module")
def index(client):
    """A few documents; the scorer's order of them is not OpenSearch's."""
    name = f"clients-{uuid.uuid4().hex[:8]}"
    client.indices.create(index=name, body={"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    for i in range(6):
        client.index(index=name, id=str(i), body={"text": f"fox{' fox' * i} score {i * 5 % 6}"}, refresh=True)
    yield name
    client.indices.delete(index=name)


@pytest.fixture(scope="module")
def service(opensearch_url):
    with served(opensearch_url) as running:
        yield running


@pytest.fixture(scope="module")
def requests(service, index, tmp_path_factory):
    """For either port: a URL, a file with a body, and what has to be in the answer."""
    folder = tmp_path_factory.mktemp("requests")
    search = {
        "query": {"match": {"text": "fox"}},
        "size": 3,
        "ext": {"rerank": {"query_context": {"query_text": "fox"}, "explain": True}},
    }
    rerank = {"query": "fox", "documents": ["score 1", "score 3", "score 2"], "top_n": 2}
    made = {}
    for name, url, body, expected in (
        ("search", f"{service.url}/{index}/_search", search, '"status":"applied"'),
        ("rerank", f"{service.api_url}/v1/rerank", rerank, '"index":1'),
    ):
        path = folder / f"{name}.json"
        path.write_text(json.dumps(body))
        made[name] = (url, str(path), expected)
    return made
