"""The wire: statuses, bytes, retries and time-outs, against a loopback server that answers as it is told."""

from __future__ import annotations

import pytest

from connectors.opensearch.client import RerankingClient
from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
from connectors.opensearch.errors import MissingIndex
from connectors.opensearch.transport import connect, search
from sidecar.core.errors import ConfigurationError, EngineRejected, EngineUnreachable, IndexNotFound
from tests.support.servers.canned_opensearch import FINE, JSON, MATCH, WINDOW


def ask(server, body=b"{}", **params):
    return search(connect(server.url), "docs", body, params, {})


def test_bytes_go_and_come_untouched(server):
    assert ask(server, b'{"a": 0.10}', routing="r") == FINE[2]
    ((path, headers, body),) = server.requests
    assert (path, body) == ("/docs/_search?routing=r", b'{"a": 0.10}')
    assert headers["authorization"] == "Basic YWRhOnMzY3JldA=="


@pytest.mark.parametrize(
    ("status", "kind", "body", "message"),
    [
        (401, "text/plain", b"Unauthorized", "OpenSearch answered 401: Unauthorized"),
        (403, JSON, b'{"error":{"type":"security","reason":"no permissions"},"status":403}', "403: no permissions"),
        (400, JSON, b'{"error":"plain words","status":400}', "OpenSearch answered 400: plain words"),
        (500, "text/html", b"", "OpenSearch answered 500: nothing"),
        (302, "text/html", b"moved", "OpenSearch answered 302: moved"),
        (
            400,
            JSON,
            b'{"error":{"root_cause":[{"type":"a","reason":"the root"}],"type":"b","reason":"all shards failed"}}',
            "OpenSearch answered 400: the root",
        ),
    ],
)
def test_an_error_keeps_status_body_and_message(server, status, kind, body, message):
    server.answers = [(status, kind, body)]
    with pytest.raises(EngineRejected, match=message) as caught:
        ask(server)
    assert (caught.value.status, caught.value.body) == (status, body)
    assert "s3cret" not in str(caught.value)


def test_a_missing_index_is_both_errors(server):
    reason = b'{"error":{"type":"index_not_found_exception","reason":"no such index [docs]"},"status":404}'
    server.answers = [(404, JSON, reason)]
    with pytest.raises(MissingIndex, match=r"no such index \[docs\]") as caught:
        ask(server)
    assert isinstance(caught.value, IndexNotFound)
    assert (caught.value.status, caught.value.body) == (404, reason)


def test_a_search_is_sent_again_while_the_node_is_busy(server):
    server.answers = [(503, JSON, b"{}"), (503, JSON, b"{}"), FINE]
    assert ask(server) == FINE[2]
    assert len(server.requests) == 3


def test_a_busy_node_is_given_up_in_the_end(server):
    server.answers = [(503, JSON, b'{"error":"busy"}')]
    with pytest.raises(EngineRejected, match="503: busy"):
        ask(server)
    assert len(server.requests) == 4


def test_statuses_to_ignore_are_no_errors(server):
    server.answers = [(404, JSON, b'{"error":"gone"}')]
    assert RerankingClient(connect(server.url), None).search(index="docs", body={}, ignore=[404]) == {"error": "gone"}


def test_an_account_for_one_call_stays_out_of_the_url(server):
    client = RerankingClient(connect(server.url), None)
    client.search(index="docs", body={}, http_auth=("eve", "pw"), opaque_id="trace", allow_no_indices=True)
    ((path, headers, _),) = server.requests
    assert path == "/docs/_search?allow_no_indices=true"
    assert headers["authorization"] == "Basic ZXZlOnB3"
    assert headers["x-opaque-id"] == "trace"


def test_no_answer_in_time(server):
    server.delay = 1.0
    with pytest.raises(EngineUnreachable, match=r"http://127.0.0.1:\d+ did not answer in time") as caught:
        ask(server, request_timeout=0.1)
    assert "s3cret" not in str(caught.value)


def test_nobody_there(server):
    server.server_close()
    with pytest.raises(EngineUnreachable, match=r"no connection to OpenSearch at http://127.0.0.1:\d+: ") as caught:
        ask(server)
    assert "s3cret" not in str(caught.value)
    assert "Is it running" in caught.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "localhost:9200",
        "ftp://ada:s3cret@host",
        "http://ada:s3cret@:9200",
        "http://ada:s3cret@host:99999",
        "http://[::1",
        "",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url):
    with pytest.raises(ConfigurationError, match="URL can't be read") as caught:
        connect(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://localhost:9200", "http://localhost:9200"),
        ("https://search.example", "https://search.example:443"),
        ("https://ada:p%40ss@search.example:9200/prefix/", "https://search.example:9200"),
        ("http://[::1]:9200", "http://[::1]:9200"),
        ("http://ada@localhost:9200", "http://localhost:9200"),
    ],
)
def test_urls(url, host):
    (connection,) = connect(url, timeout=3).transport.connection_pool.connections
    assert connection.host == host
    assert connection.timeout == 3
    assert connection.url_prefix == ("/prefix" if "prefix" in url else "")


def test_a_client_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match="the client is a object"):
        search(object(), "docs", b"", {}, {})


HIT = b'{"_shards":{"failed":%d},"hits":{"max_score":1.0,"hits":[{"_id":"a","_score":1.0,"_source":{"text":""}}]}}'


def fetched(server):
    return OpenSearchConnector(connect(server.url)).fetch(SearchRequest("docs", MATCH))


@pytest.mark.parametrize("status", [400, 413, 500])
def test_a_refused_window_falls_back_to_the_callers_search(server, status):
    server.answers = [(status, JSON, b'{"error":"too much"}'), (200, JSON, HIT % 0)]
    first_stage = fetched(server)
    assert first_stage.skipped == f"OpenSearch refused the window: OpenSearch answered {status}: too much"
    assert first_stage.native.raw == HIT % 0
    assert [body for _, _, body in server.requests] == [WINDOW, MATCH]


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_refusal_that_any_search_would_meet_is_final(server, status):
    server.answers = [(status, JSON, b'{"error":"no"}')]
    with pytest.raises(EngineRejected):
        fetched(server)
    assert [body for _, _, body in server.requests] == [WINDOW]


def test_the_callers_search_answers_where_the_window_lost_shards(server):
    server.answers = [(200, JSON, HIT % 2), (200, JSON, HIT % 1)]
    assert fetched(server).skipped == "some shards refused the window"


def test_shards_that_fail_either_way_are_no_obstacle(server):
    server.answers = [(200, JSON, HIT % 2)]
    assert fetched(server).skipped is None


def test_an_answer_without_scores_is_not_reranked(server):
    server.answers = [(200, JSON, (HIT % 0).replace(b'"_score":1.0', b'"_score":null'))]
    assert fetched(server).skipped == "the response can't be reranked: hit 'a' has no score"
    assert [body for _, _, body in server.requests] == [WINDOW, MATCH]


def test_a_fetch_phase_that_does_not_exist_is_refused():
    client = connect("http://localhost:1")
    with pytest.raises(ConfigurationError, match="fetch_phase is 'pages'") as refused:
        RerankingClient(client, None, fetch_phase="pages")
    assert refused.value.remedy == "Choose one of window, page."
