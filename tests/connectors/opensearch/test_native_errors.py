"""Errors that a bare client would have raised are caught where a reranking client stands in its place."""

from __future__ import annotations

import asyncio
import pickle

import opensearchpy
import pytest
from opensearchpy import AsyncOpenSearch, OpenSearch

from connectors.opensearch import AsyncRerankingClient, RerankingClient
from connectors.opensearch.errors import MissingIndex
from sidecar.core.errors import EngineRejected, EngineUnreachable, IndexNotFound
from tests.support.servers.canned_opensearch import FINE, JSON

NO_INDEX = b'"type":"index_not_found_exception","reason":"no such index [docs]"'
NOT_FOUND = b'{"error":{"root_cause":[{%s}],%s},"status":404}' % (NO_INDEX, NO_INDEX)
ERRORS = [
    (404, JSON, NOT_FOUND, opensearchpy.NotFoundError),
    (400, JSON, b'{"error":{"type":"parsing_exception","reason":"no"},"status":400}', opensearchpy.RequestError),
    (401, "text/plain", b"Unauthorized", opensearchpy.AuthenticationException),
    (403, JSON, b'{"error":{"type":"security_exception","reason":"no"}}', opensearchpy.AuthorizationException),
    (409, JSON, b'{"error":"conflict"}', opensearchpy.ConflictError),
    (500, "text/html", b"<p>", opensearchpy.TransportError),
    (503, JSON, b"not JSON", opensearchpy.TransportError),
    (429, JSON, b"{}", opensearchpy.TransportError),
]


def raised(call):
    with pytest.raises(opensearchpy.TransportError) as caught:
        call()
    return caught.value


def asynchronously(url, ask):
    async def searches():
        async with AsyncOpenSearch(url, max_retries=0, timeout=0.2) as bare:
            return await ask(bare)

    return lambda: asyncio.run(searches())


@pytest.mark.parametrize("method", ["search", "msearch"])
@pytest.mark.parametrize(("status", "kind", "body", "expected"), ERRORS)
def test_the_class_the_status_and_the_info_are_the_bare_clients(server, method, status, kind, body, expected):
    server.answers = [(status, kind, body)]
    arguments = {"index": "docs", "body": {} if method == "search" else [{}, {}]}
    bare = OpenSearch(server.url, max_retries=0)
    pairs = [
        (lambda: getattr(bare, method)(**arguments), lambda: getattr(RerankingClient(bare, None), method)(**arguments)),
        (
            asynchronously(server.url, lambda client: getattr(client, method)(**arguments)),
            asynchronously(server.url, lambda client: getattr(AsyncRerankingClient(client, None), method)(**arguments)),
        ),
    ]
    for theirs, ours in (map(raised, pair) for pair in pairs):
        assert type(theirs) is expected
        assert isinstance(ours, expected)
        assert isinstance(ours, EngineRejected)
        assert ours.args == (ours.status_code, ours.error, ours.info) == theirs.args
        assert (ours.status, ours.body) == (status, body)
        assert str(ours).startswith(f"OpenSearch answered {status}")


def test_a_missing_index_is_caught_by_any_of_its_names(server):
    server.answers = [(404, JSON, NOT_FOUND)]
    client = RerankingClient(OpenSearch(server.url), None)
    for kind in (opensearchpy.NotFoundError, IndexNotFound, MissingIndex):
        with pytest.raises(kind, match=r"no such index \[docs\]") as caught:
            client.search(index="docs", body={})
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, opensearchpy.NotFoundError)
    assert (again.status_code, again.status, str(again)) == (404, 404, str(caught.value))


def test_no_connection_and_no_answer_in_time_are_the_bare_clients_too(server):
    bare = OpenSearch(server.url, max_retries=0, timeout=0.2)
    client = RerankingClient(bare, None)
    server.delay = 1.0
    assert type(raised(lambda: bare.search(index="docs"))) is opensearchpy.ConnectionTimeout
    slow = raised(lambda: client.search(index="docs"))
    assert isinstance(slow, opensearchpy.ConnectionTimeout)
    assert isinstance(slow, EngineUnreachable)
    server.shutdown()
    server.server_close()
    gone = raised(lambda: client.search(index="docs"))
    assert isinstance(gone, opensearchpy.ConnectionError)
    assert isinstance(gone, EngineUnreachable)
    assert gone.status_code == raised(lambda: bare.search(index="docs")).status_code == "N/A"
    assert "s3cret" not in str(gone)


def test_statuses_to_ignore_raise_nothing(server):
    server.answers = [(404, JSON, NOT_FOUND), FINE]
    assert RerankingClient(OpenSearch(server.url), None).search(index="docs", body={}, ignore=404)["status"] == 404
