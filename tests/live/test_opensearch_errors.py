"""OpenSearch's own errors reach the caller with its message, status and body."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
from sidecar.core.errors import EngineRejected, IndexNotFound

pytestmark = pytest.mark.live


@pytest.fixture
def connector(client):
    return OpenSearchConnector(client)


def test_a_missing_index(connector):
    with pytest.raises(IndexNotFound, match=r"no such index \[nope\]") as caught:
        connector.fetch(SearchRequest("nope", {"query": {"match": {"a": "b"}}}))
    assert caught.value.status == 404
    assert json.loads(caught.value.body)["error"]["type"] == "index_not_found_exception"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"query":{"mtch":{}}}', "unknown query [mtch] did you mean [match]?"),
        (b'{"query":{"match":{"a":"b"}},"nonsense":1}', "Unknown key for a VALUE_NUMBER in [nonsense]."),
        (b'{"query":', "Unexpected end-of-input"),
        (b'{"size":1,"size":2}', "Duplicate field 'size'"),
        (b'{"query":{"match":{"a":"b"}},"size":-1}', "[size] parameter cannot be negative, found [-1]"),
    ],
)
def test_a_bad_request_is_refused_in_the_engines_words(connector, body, message):
    with pytest.raises(EngineRejected) as caught:
        connector.fetch(SearchRequest("_all", body))
    assert caught.value.status == 400
    assert message in caught.value.message
    assert json.loads(caught.value.body)["status"] == 400
