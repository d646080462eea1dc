"""A `query_text_path` means what it means to OpenSearch's own rerank processor (2.19.1)."""

from __future__ import annotations

import json
import re
import urllib.error

import pytest

from connectors.opensearch.rewrite.request import Unranked, plan
from connectors.opensearch.rewrite.search_body import SearchBody
from tests.support.query_text_paths import CASES
from tests.support.servers.rerank_server import rerank_pipeline, rerank_server

pytestmark = pytest.mark.live

ML = "plugins.ml_commons."
ALLOWED = {
    f"{ML}only_run_on_ml_node": False,
    f"{ML}connector.private_ip_enabled": True,
    f"{ML}trusted_connector_endpoints_regex": ["^http://127.0.0.1:.*$"],
}
DOCUMENT = {"text": "fox dog", "title": "red", "tag": "t1", "n": 1, "a": {"b": "fox"}, "parts": [{"name": "fox"}]}


@pytest.fixture(scope="module")
def asked(ml_node):
    """Search through the real processor with a path; returns the query that it had, or None where it refused."""
    properties = {"tag": {"type": "keyword"}, "parts": {"type": "nested"}}
    ml_node.ask("PUT", "docs", {"settings": {"number_of_shards": 1}, "mappings": {"properties": properties}})
    ml_node.ask("PUT", "docs/_doc/1?refresh=true", DOCUMENT)
    ml_node.ask("PUT", "_cluster/settings", {"transient": ALLOWED})
    with rerank_server() as server:
        ml_node.ask("PUT", "_search/pipeline/real", rerank_pipeline(ml_node.ask, server))

        def ask(search, path):
            server.queries.clear()
            if (answer := answered(ml_node, with_path(search, path))) is None:
                return None
            assert answer["hits"]["hits"], "without a hit the processor asks nobody"
            (query,) = server.queries
            return query

        yield ask


def answered(node, body):
    try:
        return node.ask("POST", "docs/_search?search_pipeline=real", body)
    except urllib.error.HTTPError as refused:
        said = refused.read()
    if not re.search(b"must point to a string field|out of bounds", said):
        pytest.fail(said.decode())
    return None


def with_path(search, path):
    return {**search, "ext": {"rerank": {"query_context": {"query_text_path": path}}}}


def ours(search, path):
    made = plan(SearchBody(json.dumps(with_path(search, path)).encode()))
    if isinstance(made, Unranked):
        assert made.reason == f"ext.rerank: {path!r} is not a text"
        return None
    return made.query


def test_the_text_is_the_one_that_opensearchs_own_processor_reads(asked):
    assert len(CASES) == 56
    for search, path, text in CASES:
        assert (asked(search, path), ours(search, path)) == (text, text), (search, path)
