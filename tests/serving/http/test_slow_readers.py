"""Clients that ask and do not read: they lose their answers, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import time
from urllib.parse import urlsplit

import pytest

from sidecar.serving.http.shares import Shares
from sidecar.serving.proxy.upstream import Upstream, UpstreamLimits
from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.waiting import until

LARGE = b"HTTP/1.1 200 OK\r\ncontent-length: 8000000\r\n\r\n" + b"x" * 8_000_000
SMALL = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def large_or_small(head):
    return [(0, LARGE if b"/large" in head else SMALL)]


@pytest.fixture(scope="module")
def upstream():
    with Stub(large_or_small) as stub:
        yield stub


def asking(running, source="127.0.0.1", receives=4096, headers=b""):
    """A connection that has asked for the large answer, with so small a buffer that little of it is taken."""
    at = urlsplit(running.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    connection.settimeout(20)
    connection.bind((source, 0))
    connection.connect((at.hostname, at.port))
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
    return connection


def status_for(running, source):
    at = urlsplit(running.url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=20, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.request("GET", "/small")
        with connection.getresponse() as answer:
            return answer.status


def taken(running):
    return sum(users for _, users in running.running.upstream._shares._taken.values())


def test_an_answer_that_is_not_taken_is_given_up(upstream):
    with served(upstream.url, slow_client_seconds=0.5) as running, asking(running) as connection:
        until(lambda: taken(running) == 1)
        until(lambda: taken(running) == 0, seconds=5)
        assert whole_of(connection) < 1_000_000


def whole_of(connection):
    """How many bytes still come before the connection is reset."""
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += len(part)
    return received


def test_an_answer_that_is_taken_too_slowly_is_given_up(upstream):
    with served(upstream.url, slow_client_seconds=0.5, slow_client_rate=1_000_000) as running:
        with asking(running) as connection, contextlib.suppress(ConnectionResetError):
            started = time.monotonic()
            while connection.recv(1000):
                time.sleep(0.02)
        assert time.monotonic() - started < 10
        until(lambda: taken(running) == 0)


def test_a_slow_reader_that_reads_gets_all_of_it(upstream):
    with served(upstream.url, slow_client_seconds=0.3) as running, asking(running, receives=65_536) as connection:
        received = 0
        while received < len(LARGE) - 200:
            received += len(connection.recv(400_000))  # 64 kB at most
            time.sleep(0.05)
        assert received > 8_000_000


def test_who_reads_nothing_takes_no_more_than_a_share_of_the_connections(upstream):
    with (
        served(upstream.url, upstream_connections=4, upstream_share=2, opensearch_timeout=2) as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(8):
            stack.enter_context(asking(running))
        until(lambda: taken(running) == 8)
        started = time.monotonic()
        assert [status_for(running, "127.0.0.2") for _ in range(5)] == [200] * 5
        assert time.monotonic() - started < 1
        assert status_for(running, "127.0.0.1") == 504


def test_behind_a_declared_proxy_each_client_has_a_share_of_its_own(upstream):
    options = {"upstream_connections": 4, "upstream_share": 1, "opensearch_timeout": 1}
    with served(upstream.url, trusted_proxies=("127.0.0.1",), **options) as running, asking(running):
        until(lambda: taken(running) == 1)
        statuses = [
            running.ask("GET", "/", headers={"X-Forwarded-For": f"10.9.9.9, 10.0.0.{i}"}).status for i in range(3)
        ]
        assert statuses == [200] * 3
        assert running.ask("GET", "/").status == 504


def test_what_a_client_writes_before_its_proxy_does_names_nobody(upstream):
    # HAProxy adds a line of its own below the client's, where others continue the client's line.
    def through_proxy(claimed, client):
        return b"X-Forwarded-For: %b\r\nX-Forwarded-For: %b\r\n" % (claimed, client)

    options = {"upstream_connections": 4, "upstream_share": 1, "opensearch_timeout": 1}
    with served(upstream.url, trusted_proxies=("127.0.0.0/8",), **options) as running, contextlib.ExitStack() as stack:
        stack.enter_context(asking(running, headers=through_proxy(b"10.9.9.1", b"10.0.0.1")))
        until(lambda: taken(running) == 1)
        for client, status in ((b"10.0.0.1", b"504"), (b"10.0.0.2", b"200")):
            other = stack.enter_context(asking(running, headers=through_proxy(b"10.9.9.2", client)))
            assert other.recv(12) == b"HTTP/1.1 " + status


def test_a_node_that_takes_no_connection_in_time_is_said_to():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"  # the handshake is never answered
        with served(url, opensearch_timeout=0.5) as running:
            answer = running.ask("GET", "/docs")
    assert answer.status == 504
    assert "it took no connection in time" in answer.json()["error"]["reason"]


@pytest.mark.parametrize(("nodes", "seconds"), [(["http://a"], 30.0), (["http://a", "http://b"], 10.0)])
def test_a_lone_node_is_given_all_the_time_there_is_to_take_a_connection(nodes, seconds):
    async def given():
        upstream = Upstream(nodes, UpstreamLimits(30.0))
        try:
            return upstream._session.timeout.sock_connect
        finally:
            await upstream.close()

    assert asyncio.run(given()) == seconds


def test_whoever_waits_for_a_share_and_leaves_takes_none():
    async def waits():
        shares = Shares(1)
        await shares.take("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await shares.take("a")
        shares.give_back("a")
        await shares.take("a")
        shares.give_back("a")
        return shares._taken

    assert asyncio.run(waits()) == {}


def test_a_caller_who_leaves_in_the_middle_of_an_answer_ends_it_at_opensearch():
    sent = []

    def endless():
        yield 0, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        while True:
            sent.append(time.monotonic())
            yield 0.02, b"5\r\nhello\r\n"

    with Stub(lambda _: endless()) as stub, served(stub.url) as running:
        with asking(running) as connection:
            assert connection.recv(100)
        until(lambda: taken(running) == 0)
        time.sleep(0.3)
        before = len(sent)
        time.sleep(0.3)
        assert len(sent) - before < 3
