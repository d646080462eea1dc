"""Clients and nodes that are slow, endless, too large or gone: each costs itself its answer, and nobody else theirs."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from tests.support.servers.hits import by_model
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.servers.wire import raw
from tests.support.waiting import until


@pytest.fixture(scope="module")
def service(upstream):
    with served(upstream.url, slow_client_seconds=1.0) as running:
        yield running


def connected(running, sent=b""):
    at = urlsplit(running.url)
    connection = socket.create_connection((at.hostname, at.port), timeout=10)
    connection.sendall(sent)
    return connection


def request(made, **headers):
    data = json.dumps(made).encode()
    named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /docs/_search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{named}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data


def whole(connection):
    received = b""
    while not received.endswith(b'{"acknowledged":true}'):
        received += connection.recv(10_000)
    return received


def test_a_head_that_does_not_arrive_is_not_waited_for(service):
    with connected(service, b"GET /docs HTTP/1.1\r\nHost:") as half, connected(service) as silent:
        started = time.monotonic()
        assert half.recv(100).startswith(b"HTTP/1.1 408 ")
        assert silent.recv(100) == b""
        assert 0.5 < time.monotonic() - started < 5


def test_a_head_that_trickles_in_is_not_waited_for_either(service):
    started = time.monotonic()
    with connected(service) as connection, contextlib.suppress(OSError):  # reset or broken pipe
        while time.monotonic() - started < 10:
            connection.sendall(b"X")
            time.sleep(0.05)
    assert time.monotonic() - started < 5


def test_the_second_request_of_a_connection_has_as_long_and_no_longer(service):
    with connected(service, b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert whole(connection).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.5)  # idle between two requests it may stay
        connection.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
        assert whole(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /docs HTTP")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_hundreds_of_half_open_connections_keep_nobody_out_and_go_again(upstream):
    with served(upstream.url, slow_client_seconds=3.0) as running, contextlib.ExitStack() as stack:
        half = [stack.enter_context(connected(running, b"GET / HTTP/1.1\r\nX:")) for _ in range(400)]
        assert ids(running.search("docs", body())) == by_model()[:10]
        assert all(connection.recv(100).startswith(b"HTTP/1.1 408 ") for connection in half)


def test_a_head_without_end_is_refused(service):
    with connected(service, b"GET /docs HTTP/1.1\r\nHost: x\r\nX: ") as connection:
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b"a" * 100_000)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100).startswith(b"HTTP/1.1 431 ")
    assert service.ask("GET", "/docs").status == 200


def test_many_headers_arrive_as_they_were_sent(service, upstream):
    many = {f"x-b3-{i}": str(i) for i in range(200)}
    assert service.ask("GET", "/docs", headers=many).status == 200
    arrived = upstream.requests[-1].lower()
    assert all(f"\r\nx-b3-{i}: {i}\r\n".encode() in arrived for i in range(200))


def test_pipelined_requests_are_answered_in_their_order(service):
    searches = [
        request(body(f"pipelined {i}", size=3), **({"Connection": "close"} if i == 4 else {})) for i in range(5)
    ]
    mixed = b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".join(searches)
    answers = raw(service.url, mixed, wait=10)
    assert answers.count(b"HTTP/1.1 200 ") == 9
    kinds = ["search" if b"x-rerank-status: applied" in one else "other" for one in answers.split(b"HTTP/1.1 200 ")[1:]]
    assert kinds == ["search", "other"] * 4 + ["search"]


def test_a_caller_who_leaves_has_its_scoring_dropped(service):
    scorer = service.running.service.scorers.links[0]
    with connected(service, request(body("fox sleep 30", rerank={"timeout_ms": 30_000}))):
        until(lambda: scorer.waiting_passages > 0)
    until(lambda: scorer.waiting_passages == 0, seconds=2.0)
    assert (scorer._pending, service.running.proxy.in_flight) == ({}, 0)
    started = time.monotonic()
    assert outcome(service.search("docs", body("the next"))) == ("applied", "")
    # The slice under way is scored to its end (16 passages, 0.5 s); the other 84 are not.
    assert time.monotonic() - started < 1.5


def endless(pause, part):
    def parts():
        yield 0, b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        while True:
            yield pause, b"%x\r\n%s\r\n" % (len(part), part)

    return lambda _: parts()


def test_a_node_that_never_ends_its_answer_is_not_waited_for():
    with Stub(endless(0.2, b" ")) as stub, served(stub.url, opensearch_timeout=1) as running:
        started = time.monotonic()
        answer = running.search("docs", body())
        assert (answer.status, answer.json()["error"]["type"]) == (504, "receive_timeout_transport_exception")
        assert 0.9 < time.monotonic() - started < 5


def test_an_answer_too_large_to_read_whole_is_streamed_as_it_is(upstream):
    with served(upstream.url) as running:
        running.running.upstream._max_answer = 5000
        answer = running.search("docs", body())
        assert outcome(answer) == ("skipped", "OpenSearch's answer is larger than 5000 bytes")
        assert ids(answer) == [str(i) for i in range(10)]


def test_callers_who_read_nothing_hold_no_answer_in_memory():
    sent = []

    def parts():
        yield 0, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        while True:
            sent.append(65_536)
            yield 0, b"10000\r\n%s\r\n" % (b"x" * 65_536)

    with Stub(lambda _: parts()) as stub, served(stub.url) as running:
        with connected(running, b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n"):
            until(lambda: sent)
            time.sleep(1.0)
            before = len(sent)
            time.sleep(0.5)
            # The sockets' buffers are full, and the node has to wait.
            assert len(sent) == before
        assert running.ask("GET", "/_sidecar/health/live").status == 200


def test_more_slow_answers_than_connections_end_in_a_504():
    with Stub(lambda _: [(3, None)]) as stub, served(stub.url, opensearch_timeout=1) as running:
        running.running.upstream._session.connector._limit = 2
        statuses = []
        threads = [
            threading.Thread(target=lambda: statuses.append(running.ask("GET", "/docs").status)) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert statuses == [504] * 6
