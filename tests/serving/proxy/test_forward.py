"""Requests that are not ours pass through unchanged, and what a proxy must never do it does not."""

from __future__ import annotations

import gzip
import http.client
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from sidecar.core.errors import ConfigurationError
from tests.support.servers.searches import error_of
from tests.support.servers.served import ask, served
from tests.support.servers.stub import Stub
from tests.support.servers.wire import raw


@pytest.fixture(scope="module")
def upstream():
    with Stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def proxy(upstream):
    with served(upstream.url) as running:
        yield running


def last(upstream):
    head, _, body = upstream.requests[-1].partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    return line, [tuple(header.split(b": ", 1)) for header in headers], body


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/docs",
        "/%3Clogs-%7Bnow%2Fd%7D%3E/_doc/1?routing=a%20b&x=%C3%A9",
        "/docs/_doc/a%2Fb",
        "/docs//_doc/1",
        "/docs/../_cat/indices",
        "/docs/_search/scroll",
        "/docs/_search/template",
        "/_search/pipeline/x",
        "/_plugins/_ml/models/_search",
        "/_sidecars",
        "/docs/%5Fsearch",
        "/docs/_doc/1?q=%",
    ],
)
def test_the_target_arrives_as_it_was_written(proxy, upstream, target):
    answer = proxy.ask("POST", target, b"{}")
    assert (answer.status, answer.body) == (200, b"ok")
    assert last(upstream)[0] == f"POST {target} HTTP/1.1".encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_passes(proxy, upstream, method):
    proxy.ask(method, "/docs/_doc/1")
    assert last(upstream)[0].startswith(method.encode() + b" ")


def test_bodies_arrive_byte_for_byte_in_the_framing_they_came_in(proxy, upstream):
    body = b'{"index":{}}\n{"a":0.10,"b":1e400,"c":"\\ud83d"}\n' * 1000
    proxy.ask("POST", "/_bulk", body, {"Content-Type": "application/x-ndjson"})
    _, headers, arrived = last(upstream)
    assert arrived == body
    assert (b"content-type", b"application/x-ndjson") in headers
    assert (b"content-length", b"%d" % len(body)) in [(n.lower(), v) for n, v in headers]
    packed = gzip.compress(body)
    proxy.ask("POST", "/_bulk", packed, {"Content-Encoding": "gzip"})
    assert last(upstream)[2] == packed
    proxy.ask("POST", "/_bulk", iter([b"one", b"two"]), {"Transfer-Encoding": "chunked"})
    arrived = last(upstream)[2]
    assert arrived.endswith(b"0\r\n\r\n")
    assert b"one" in arrived
    assert b"two" in arrived


def test_the_callers_rights_go_on_and_ours_do_not(proxy, upstream):
    given = {"Authorization": "Basic Zm9vOmJhcg==", "X-Opaque-Id": "7", "X-Sidecar-Api-Key": "secret"}
    proxy.ask("GET", "/docs", headers=given)
    names = {name.lower(): value for name, value in last(upstream)[1]}
    assert names[b"authorization"] == b"Basic Zm9vOmJhcg=="
    assert names[b"x-opaque-id"] == b"7"
    assert b"x-sidecar-api-key" not in names
    assert not {b"user-agent", b"accept", b"accept-encoding"} & (names.keys() - {b"accept-encoding"})


# Headers by which some proxy or other tells who a caller is; the last has a name of the operator's own.
CLAIMS = [
    "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-User", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Proxy-User",
    "X-Proxy-Roles", "X-Proxy-Ext-Attr", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP",
    "X-Remote-User", "Remote-User", "X-Auth-Request-Email", "X-Amzn-Oidc-Identity", "X-SSL-Client-DN",
    "X-OpenDistro-Security-Tenant-Override", "_opendistro_security_user", "X_Forwarded_For", "X-Acme-Staff",
]  # fmt: skip


def test_what_else_opensearch_knows_goes_on_and_more_may_be_named(upstream):
    with served(upstream.url, pass_headers=("X-Acme-*", "x-dept")) as running:
        given = {
            "X-Acme-Staff": "kim",
            "X-Dept": "7",
            "X-Opaque-Id": "8",
            "securitytenant": "sales",
            "traceparent": "00-1",
        }
        running.ask("GET", "/docs", headers=given)
    names = {name.lower(): value for name, value in last(upstream)[1]}
    assert {name.lower().encode(): value.encode() for name, value in given.items()}.items() <= names.items()


def test_hop_by_hop_and_identity_headers_end_here(proxy, upstream):
    given = {
        "Connection": "x-secret, close, content-length, authorization",
        "X-Secret": "1",
        "Keep-Alive": "5",
        "TE": "trailers",
        "Proxy-Authorization": "x",
        **dict.fromkeys(CLAIMS, "admin"),
        "Authorization": "Bearer t",
    }
    proxy.ask("POST", "/docs", b"body", given)
    _, headers, body = last(upstream)
    names = {name.lower() for name, _ in headers}
    assert body == b"body"
    assert {b"authorization", b"content-length"} <= names
    assert not {b"x-secret", b"keep-alive", b"te", b"proxy-authorization"} & names
    assert not {claim.lower().encode() for claim in CLAIMS} & names


def test_a_declared_proxy_may_say_who_the_caller_is(upstream):
    with served(upstream.url, trusted_proxies=("127.0.0.1",)) as running:
        running.ask("GET", "/docs", headers={"X-Proxy-User": "kim", "X-Forwarded-For": "10.0.0.1"})
    names = {name.lower(): value for name, value in last(upstream)[1]}
    assert (names[b"x-proxy-user"], names[b"x-forwarded-for"]) == (b"kim", b"10.0.0.1")


def test_answers_come_back_as_they_were(proxy, upstream):
    upstream.answer = (
        b"HTTP/1.1 418 teapot\r\nX-Elastic-Product: Elasticsearch\r\nwarning: 299 a\r\nwarning: 299 b\r\n"
        b"content-encoding: gzip\r\ncontent-type: application/smile\r\ncontent-length: 5\r\n\r\n\x00\xffabc"
    )
    with closing(http.client.HTTPConnection(urlsplit(proxy.url).netloc)) as connection:
        connection.request("GET", "/docs")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (418, b"\x00\xffabc")
    assert sorted((n.lower(), v) for n, v in answer.getheaders()) == [
        ("content-encoding", "gzip"), ("content-length", "5"), ("content-type", "application/smile"),
        ("warning", "299 a"), ("warning", "299 b"), ("x-elastic-product", "Elasticsearch"),
    ]  # fmt: skip
    upstream.answer = b"HTTP/1.1 301 Moved\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n"
    assert proxy.ask("GET", "/docs").headers["location"] == "http://elsewhere/"
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n"
    head = proxy.ask("HEAD", "/docs")
    assert (head.status, head.headers["content-length"], head.body) == (200, "1234", b"")


def test_a_long_answer_is_streamed(proxy, upstream):
    def slowly(_):
        parts = [(0.0, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), (0.0, b"3\r\none\r\n")]
        return [*parts, (1.0, b"3\r\ntwo\r\n0\r\n\r\n")]

    upstream.answer = slowly
    with closing(http.client.HTTPConnection(urlsplit(proxy.url).netloc)) as connection:
        started = time.monotonic()
        connection.request("GET", "/docs")
        answer = connection.getresponse()
        assert answer.read(3) == b"one"
        assert time.monotonic() - started < 0.9
        assert answer.read() == b"two"


def test_an_upstream_that_breaks_off_breaks_off_at_the_caller(proxy, upstream):
    upstream.answer = lambda _: [(0, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"), (0.1, None)]
    with pytest.raises(http.client.IncompleteRead):
        proxy.ask("GET", "/docs")
    upstream.answer = lambda _: [(0, None)]
    assert error_of(proxy.ask("GET", "/docs")) == (502, "connect_transport_exception")
    upstream.answer = b"nonsense\r\n\r\n"
    assert error_of(proxy.ask("GET", "/docs")) == (502, "connect_transport_exception")


def test_an_upstream_that_is_down_or_slow_is_an_error_of_opensearchs_shape():
    with served("http://127.0.0.1:9") as running:
        assert error_of(running.ask("GET", "/docs")) == (502, "connect_transport_exception")
        assert error_of(running.ask("PUT", "/docs", b"{}")) == (502, "connect_transport_exception")
    with Stub(lambda _: [(5, None)]) as stub, served(stub.url, opensearch_timeout=0.5) as running:
        assert error_of(running.ask("GET", "/docs")) == (504, "receive_timeout_transport_exception")


def test_reads_go_to_another_node_and_writes_do_not():
    with Stub() as alive, served(f"http://127.0.0.1:9,{alive.url}") as running:
        assert [running.ask("GET", "/docs").status for _ in range(6)] == [200] * 6
        before = len(alive.requests)
        running.running.upstream._resting.clear()
        statuses = {running.ask("PUT", "/docs", b"{}").status for _ in range(2)}
        assert 200 in statuses
        assert len(alive.requests) - before <= 2


EVIL = b"GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
BEGIN = b"POST /docs HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = [
    BEGIN + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
    BEGIN + b"Content-Length: 4\r\nContent-Length: 30\r\n\r\nabcd" + EVIL,
    BEGIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + EVIL,
    BEGIN + b"X: a\x00b\r\n\r\n",
    BEGIN + b"X : folded\r\n\r\n",
]


@pytest.mark.parametrize("data", SMUGGLED)
def test_ambiguous_framing_never_reaches_opensearch(proxy, upstream, data):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    before = len(upstream.requests)
    answered = raw(proxy.url, data, wait=1.0)
    assert not any(b"/evil" in request for request in upstream.requests[before:])
    assert answered == b"" or answered.startswith(b"HTTP/1.1 400")


def test_an_absolute_form_target_goes_to_our_opensearch_alone(proxy, upstream):
    raw(proxy.url, b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n\r\n")
    assert last(upstream)[0] == b"GET /latest HTTP/1.1"


def test_a_slow_body_ends_in_a_408(upstream):
    with served(upstream.url, slow_client_seconds=0.3) as running:
        head = b"POST /docs/_search HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        assert raw(running.url, head).startswith(b"HTTP/1.1 408")


def test_only_what_is_allowed_passes(upstream):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    with served(upstream.url, pass_through="read-only") as running:
        assert running.ask("GET", "/docs/_doc/1").status == 200
        assert running.ask("POST", "/docs/_count", b"{}").status == 200
        assert running.ask("POST", "/docs/_search", b"{}").status == 200
        for method, target in [
            ("PUT", "/docs"), ("POST", "/_bulk"), ("DELETE", "/docs"), ("GET", "/docs/_refresh"),
            ("POST", "/docs/_search/../_delete_by_query"), ("POST", "/docs/_delete_by_query"),
        ]:  # fmt: skip
            assert error_of(running.ask(method, target, b"{}")) == (403, "security_exception")
    with served(upstream.url, pass_through="search") as running:
        assert running.ask("POST", "/docs/_search", b"{}").status == 200
        assert running.ask("GET", "/docs/_doc/1").status == 403


def test_only_allowed_hosts_are_served(upstream):
    with served(upstream.url, allowed_hosts=("search.example",)) as running:
        for name in ("search.example:9280", "Search.Example"):
            assert running.ask("GET", "/docs", headers={"Host": name}).status == 200
        assert running.ask("GET", "/docs", headers={"Host": "evil.example"}).status == 403
        # Both ports answer the probes of a container.
        for url in (running.url, running.api_url):
            assert ask(url, "GET", "/_sidecar/health/ready", headers={"Host": "10.0.0.7"}).status == 200
        for path in ("/health", "/tei/health"):
            assert ask(running.api_url, "GET", path, headers={"Host": "10.0.0.7"}).status == 200
        for path in ("/metrics", "/_sidecar/metrics", "/v1/models", "/"):
            assert ask(running.api_url, "GET", path, headers={"Host": "10.0.0.7"}).status == 403


def test_management_is_ours_and_asks_for_the_key(upstream):
    before = len(upstream.requests)
    with served(upstream.url, api_key="s3cret") as running:
        assert running.ask("GET", "/_sidecar/health/live").json() == {"status": "live"}
        assert running.ask("GET", "/_sidecar/health/ready").json()["status"] == "ready"
        assert running.ask("GET", "/_sidecar/metrics").status == 401
        assert running.ask("GET", "/_sidecar/metrics", headers={"Authorization": "Bearer wrong"}).status == 401
        metrics = running.ask("GET", "/_sidecar/metrics", headers={"Authorization": "Bearer s3cret"})
        assert b"sidecar_scorer_ready 1.0" in metrics.body
        assert running.ask("PUT", "/_sidecar/rerank", b'{"enabled":false}').status == 401
        key = {"X-Sidecar-Api-Key": "s3cret", "Content-Type": "application/json"}
        off = running.ask("PUT", "/_sidecar/rerank", b'{"enabled":false}', key)
        assert (off.status, off.json()) == (200, {"enabled": False})
        assert running.ask("PUT", "/_sidecar/rerank", b"{", key).status == 400
        assert running.ask("GET", "/_sidecar/else").status == 404
    # Health asks OpenSearch whether it is there, in nobody's name.
    assert [request.split(b"\r\n")[0] for request in upstream.requests[before:]] == [b"GET / HTTP/1.1"]
    assert b"s3cret" not in upstream.requests[-1]


def test_ask_is_what_the_tests_think_it_is(upstream):
    assert ask(upstream.url, "GET", "/").body == b"ok"


def test_an_account_in_the_url_is_lent_only_on_request(upstream):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    url = upstream.url.replace("http://", "http://kim:s3cret@")
    with served(url) as running:
        running.ask("GET", "/docs")
    assert b"authorization" not in {name.lower() for name, _ in last(upstream)[1]}
    with served(url, lend_account=True) as running:
        running.ask("GET", "/docs")
        assert (b"authorization", b"Basic a2ltOnMzY3JldA==") in [(n.lower(), v) for n, v in last(upstream)[1]]
        running.ask("GET", "/docs", headers={"Authorization": "Bearer own"})
        assert [v for n, v in last(upstream)[1] if n.lower() == b"authorization"] == [b"Bearer own"]
    with pytest.raises(ConfigurationError, match="no account to lend"), served(upstream.url, lend_account=True):
        pass
