"""Bodies that do not end: they have a time, a share of the memory and no slot, and the others are served."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import socket
import threading
import time
import zlib
from urllib.parse import urlsplit

import pytest

from sidecar.serving.http.held_bytes import HeldBytes
from sidecar.serving.rerank_api.engine import RequestLimits
from tests.support.servers.api_server import served_api
from tests.support.servers.hits import by_model, opensearch
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.servers.wire import request, talk
from tests.support.waiting import until

RERANK = {"query": "q", "documents": ["score 1", "score 2"]}


def begun(url, sent, source="127.0.0.1"):
    at = urlsplit(url)
    connection = socket.create_connection((at.hostname, at.port), timeout=20, source_address=(source, 0))
    connection.sendall(sent)
    return connection


def head(path, length):
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{" % (
        path,
        length,
    )


def test_begun_bodies_take_no_slot_of_the_rerank_api():
    with served_api(limits=RequestLimits(requests=2)) as api, contextlib.ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(begun(api.url, head(b"/v1/rerank", 1000)))
        time.sleep(0.3)
        assert api.post("/v1/rerank", RERANK).status_code == 200


@pytest.mark.parametrize("path", [b"/docs/_search", b"/docs/_doc"])
def test_a_body_that_trickles_in_is_not_waited_for(upstream, path):
    with served(upstream.url, slow_client_seconds=0.5, body_seconds=1.0, slow_client_rate=1000) as running:
        started = time.monotonic()
        with begun(running.url, head(path, 100_000)) as connection:
            answer = trickled(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started < 8


def test_a_body_that_trickles_into_the_rerank_api_is_not_waited_for():
    with served_api(limits=RequestLimits(body_seconds=0.5)) as api:
        with begun(api.url, head(b"/v1/rerank", 100_000)) as connection:
            answer = trickled(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")


def failures(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", [b"/v1/rerank", b"/v1/rerank/batch", b"/v1/compare", b"/_sidecar/rerank"])
def test_a_client_that_leaves_is_no_failure_of_the_service(upstream, caplog, path):
    with served(upstream.url) as running:
        for url in (running.url, running.api_url):
            begun(url, head(path, 1000).replace(b"Host: x", b"Host: localhost")).close()
        until(lambda: answered(running) == 2)
    assert failures(caplog) == []


def answered(running):
    found = running.running.metrics.registry.collect()
    samples = [sample for metric in found for sample in metric.samples if sample.name == "sidecar_requests_total"]
    return sum(sample.value for sample in samples)


def test_a_client_that_leaves_while_it_is_scored_for_is_no_failure_either(caplog):
    with served_api() as api:
        scored = json.dumps({"query": "sleep 300", "documents": ["a"]}).encode()
        with begun(api.url, head(b"/v1/rerank", len(scored))[:-1] + scored):
            until(lambda: api.engine.service.scorers.waiting_passages == 1)
        until(lambda: api.engine.service.scorers.waiting_passages == 0)
        assert api.post("/v1/rerank", RERANK).status_code == 200
    assert failures(caplog) == []


def trickled(connection):
    """Send a byte ten times a second until there is an answer."""
    connection.settimeout(0.1)
    for _ in range(100):
        with contextlib.suppress(TimeoutError):
            return connection.recv(1000)
        connection.sendall(b" ")
    return b"no answer"


def test_a_slow_body_is_no_failure_of_the_node(upstream):
    with served(upstream.url, slow_client_seconds=0.3) as running:
        with begun(running.url, head(b"/docs/_doc", 1000)) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        with begun(running.url, head(b"/docs/_doc", 1000)):
            pass
        until(lambda: not running.running.upstream._shares._taken)
        assert running.running.upstream._resting == {}


def test_of_bodies_beyond_the_memory_searches_pass_unread(upstream):
    with served(upstream.url, max_held_bytes=4 * 1024 * 1024) as running, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(begun(running.url, head(b"/docs/_search", 5_000_000) + b" " * 900_000))
        until(lambda: running.running.proxy.held.total >= 1_800_000)
        large = body(size=10) | {"docvalue_fields": ["x" * 400_000]}
        answer = running.search("docs", large)
        words = "overloaded: too many bytes of other requests are in memory"
        assert (answer.status, outcome(answer)) == (200, ("skipped", words))
        other = talk_from(running.url, "127.0.0.2", json.dumps(body()).encode())
        assert b"x-rerank-status: applied" in other
    assert outcome(answer)[0] == "skipped"


def talk_from(url, source, data):
    with begun(url, request(b"/docs/_search", data, b"Connection: close"), source) as connection:
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received


def test_the_rerank_api_refuses_bodies_beyond_the_memory():
    held = HeldBytes(2_000_000)
    with served_api(limits=RequestLimits(held=held)) as api, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(begun(api.url, head(b"/v1/rerank", 5_000_000) + b" " * 400_000))
        until(lambda: held.total >= 800_000)
        answer = api.post("/v1/rerank", RERANK | {"documents": ["x" * 300_000]})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert api.post("/v1/rerank", RERANK).status_code == 200
    until(lambda: held.total == 0)


def test_what_is_held_is_given_back_whatever_becomes_of_a_request(upstream):
    with served(upstream.url) as running:
        for made in (body(), body(rerank=False), body("broken"), {"ext": {"rerank": 5}}):
            running.search("docs", made)
        running.ask("POST", "/docs/_search", b"\x1f\x8b no gzip", {"content-encoding": "gzip"})
        with begun(running.url, head(b"/docs/_search", 1000)):
            until(lambda: running.running.proxy.held.total == 1)
        until(lambda: running.running.proxy.held.total == 0)


def test_a_client_holds_half_of_the_memory_at_most():
    held = HeldBytes(100)
    with held.hold("a") as one, held.hold("a") as two, held.hold("b") as other:
        assert [one.take(30), two.take(21), two.take(20), other.take(50), other.take(1)] == [
            True,
            False,
            True,
            True,
            False,
        ]
        assert held.total == 100
    assert held.total == 0


def test_answers_beyond_the_memory_are_streamed():
    """Several large answers at once: as many as there is room for are reranked, the others passed on as they are."""
    pad = "x" * 20_000

    def padded(sent):
        answer = opensearch(sent)
        _, _, rest = answer.partition(b"\r\n\r\n")
        rest = rest.replace(b'"price":0.10', b'"price":0.10,"pad":"' + pad.encode() + b'"')
        return [
            (0.5, b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(rest) + rest)
        ]

    with Stub(padded) as stub, served(stub.url, max_held_bytes=8 * 1024 * 1024) as running:
        answers = []
        threads = [
            threading.Thread(target=lambda i=i: answers.append(running.search("docs", body(f"fox {i}"))))
            for i in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [answer.status for answer in answers] == [200] * 5
        outcomes = [outcome(answer) for answer in answers]
        words = "OpenSearch's answer is too large beside those that are in memory already"
        assert ("applied", "") in outcomes
        assert ("skipped", words) in outcomes
        for answer, (status, _) in zip(answers, outcomes, strict=True):
            assert ids(answer) == (by_model()[:10] if status == "applied" else [str(i) for i in range(10)])
        until(lambda: running.running.proxy.held.total == 0)  # given back once the answer is out


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("GZIP", gzip.compress), ("x-GZip", gzip.compress), ("Deflate", zlib.compress)],
)
def test_codings_are_read_in_any_case(upstream, coding, pack):
    data = pack(json.dumps(body()).encode())
    with served(upstream.url) as running:
        answer, _ = talk(running.url, request(b"/docs/_search", data, b"Content-Encoding: " + coding.encode()))
        assert b"x-rerank-status: applied" in answer
    with served_api() as api:
        sent = {"content-encoding": coding, "content-type": "application/json"}
        assert api.client.post("/v1/rerank", content=pack(json.dumps(RERANK).encode()), headers=sent).status_code == 200
