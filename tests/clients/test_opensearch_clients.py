"""OpenSearch's own clients stay with the service when they ask which nodes there are."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from opensearchpy import OpenSearch

from tests.support.clients.runtimes import found, go_program, node_folder, run

pytestmark = pytest.mark.live

BODY = {"query": {"match": {"text": "fox"}}, "size": 3, "ext": {"rerank": {"query_context": {"query_text": "fox"}}}}


@pytest.fixture
def expected(service, index):
    """The line that each program prints for each search: the ids as reranked, and what became of it."""
    answer = service.search(index, BODY)
    ids = [hit["_id"] for hit in answer.json()["hits"]["hits"]]
    return " ".join([*ids, "applied"])


def test_opensearch_py_that_sniffs(service, index, expected):
    client = OpenSearch(
        [service.url], sniff_on_start=True, sniff_on_connection_fail=True, sniffer_timeout=0.01, http_compress=True
    )
    try:
        for _ in range(3):
            ids = [hit["_id"] for hit in client.search(index=index, body=BODY)["hits"]["hits"]]
            assert " ".join([*ids, "applied"]) == expected
        assert {connection.host for connection in client.transport.connection_pool.connections} == {service.url}
    finally:
        client.close()


def test_opensearch_js_that_sniffs(service, index, expected):
    node = found("node", "opensearch-js runs on it")
    program = node_folder("opensearch_js") / "search.cjs"
    *lines, hosts = run([node, program, service.url, index, json.dumps(BODY)]).splitlines()
    assert lines == [expected] * 3
    assert hosts == urlsplit(service.url).netloc


def test_opensearch_go_that_discovers_nodes(service, index, expected):
    lines = run([go_program("opensearch_go"), service.url, index, json.dumps(BODY)]).splitlines()
    assert lines == [expected] * 3
