"""A connection is asked for more than requests: expectations, upgrades, early answers. Nothing is smuggled in."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import threading
import time

import pytest

from tests.support.servers.api_server import served_api
from tests.support.servers.served import served
from tests.support.servers.stub import Stub, read_request
from tests.support.servers.wire import chunked, request, talk

SMUGGLED = b"DELETE /precious HTTP/1.1\r\nHost: x\r\nX-Ignore: "
RERANK = json.dumps({"query": "q", "documents": ["score 1", "score 2"]}).encode()
SEARCH = json.dumps({"query": {"match": {"text": "fox"}}, "ext": {"rerank": {}}}).encode()


@pytest.fixture(scope="module")
def service(upstream):
    with served(upstream.url, slow_client_seconds=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def api():
    with served_api() as running:
        yield running


@pytest.mark.parametrize(
    "expect", [b"nonsense", b"", b"100-continue, x", b"100-continue,100-continue", b"200-ok", b"\xff"]
)
@pytest.mark.parametrize("path", [b"/docs/_search", b"/docs", b"/v1/rerank"])
def test_an_expectation_that_nobody_can_meet_is_refused(service, api, upstream, expect, path):
    before = len(upstream.requests)
    url = api.url if path == b"/v1/rerank" else service.url
    answer, end = talk(url, request(path, SMUGGLED, b"Expect: " + expect) + request(path, SEARCH))
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert end == "closed"
    assert len(upstream.requests) == before


def test_two_expectations_are_one_that_nobody_can_meet(service):
    answer, end = talk(service.url, request(b"/docs", b"x", b"Expect: 100-continue", b"Expect: 100-continue"))
    assert (answer[:13], end) == (b"HTTP/1.1 417 ", "closed")


def test_whoever_expects_to_be_told_to_go_on_is_told_and_opensearch_is_not_asked(service, api, upstream):
    for url, path, body in (
        (service.url, b"/docs/_search", SEARCH),
        (service.url, b"/docs/_doc", b"{}"),
        (api.url, b"/v1/rerank", RERANK),
    ):
        whole = request(path, body, b"Expect: 100-Continue", b"Connection: close")
        head = whole[: -len(body)]
        answer, end = talk(url, head, body)
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
        assert end == "closed"
    assert not any(b"expect:" in sent.lower() for sent in upstream.requests)


def test_whoever_was_never_told_to_go_on_may_send_another_request_at_once(upstream):
    """The head of the next request must not be read as the body of this one, nor the body as a request."""
    with served(upstream.url, pass_through="search") as running:
        head = request(b"/docs/_doc", b"x" * 10, b"Expect: 100-continue")[:-10]
        answer, end = talk(running.url, head, request(b"/docs/_search", SEARCH))
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"connection: close" in answer
        assert (answer.count(b"HTTP/1.1 "), end) == (1, "closed")


def test_http_1_0_knows_no_expectations(service):
    answer, _ = talk(service.url, request(b"/docs", b"{}", b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.startswith(b"HTTP/1.1 200 ")


UPGRADES = {
    "java": [
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    ],
    "websocket": [b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"],
    "unknown": [b"Upgrade: x", b"Connection: upgrade"],
}


@pytest.mark.parametrize("offer", UPGRADES)
@pytest.mark.parametrize("framing", ["one piece", "two pieces", "byte by byte", "chunked", "chunked in pieces"])
@pytest.mark.parametrize("path", [b"/docs/_search", b"/docs/_doc", b"/v1/rerank"])
def test_an_offer_to_upgrade_is_ignored_and_the_request_served(service, api, upstream, offer, framing, path):
    url, body = (api.url, RERANK) if path == b"/v1/rerank" else (service.url, SEARCH)
    make = chunked if framing.startswith("chunked") else request
    whole = make(path, body, *UPGRADES[offer])
    head = whole.index(b"\r\n\r\n") + 4
    parts = {
        "two pieces": [whole[:head], whole[head:]],
        "chunked in pieces": [whole[: head - 1], whole[head - 1 : head + 9], whole[head + 9 :]],
        "byte by byte": [bytes([byte]) for byte in whole],
    }.get(framing, [whole])
    before = len(upstream.requests)
    answer, end = talk(url, *parts, pause=0.0005 if framing == "byte by byte" else 0.1)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert (answer.count(b"HTTP/1.1 "), end) == (1, "open")
    if path == b"/docs/_search":
        assert b"x-rerank-status: applied" in answer
    if path == b"/docs/_doc":
        assert len(upstream.requests) == before + 1
        assert b"upgrade" not in upstream.requests[-1].lower()
        assert upstream.requests[-1].endswith(body) or b"chunked" in upstream.requests[-1].lower()


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_behind_an_offer_to_upgrade_is_no_request(service, upstream, pieces):
    whole = request(b"/docs/_doc", SMUGGLED, *UPGRADES["java"]) + request(b"/docs/_count", b"{}")
    head = whole.index(b"\r\n\r\n") + 4
    before = len(upstream.requests)
    answer, _ = talk(service.url, *([whole] if pieces == 1 else [whole[:head], whole[head:]]))
    assert [one.split(b" ")[:2] for one in upstream.requests[before:]] == [
        [b"POST", b"/docs/_doc"],
        [b"POST", b"/docs/_count"],
    ]
    assert upstream.requests[before].endswith(SMUGGLED)
    assert answer.count(b"HTTP/1.1 200 ") == 2


def test_many_offers_on_one_connection_are_each_ignored(service):
    whole = b"".join(request(b"/docs/_count", b"{}", *UPGRADES[name]) for name in UPGRADES for _ in range(20))
    answer, _ = talk(service.url, whole)
    assert answer.count(b"HTTP/1.1 200 ") == 60


def test_a_tunnel_is_refused(service):
    answer, end = talk(service.url, b"CONNECT opensearch:9200 HTTP/1.1\r\nHost: opensearch:9200\r\n\r\n" + SMUGGLED)
    assert (answer[:13], end) == (b"HTTP/1.1 400 ", "closed")


def test_what_is_no_http_does_not_cost_the_answer_before_it(service):
    answer, end = talk(service.url, request(b"/docs/_search", SEARCH) + b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert (answer.count(b"HTTP/1.1 "), end) == (1, "closed")


def test_white_space_around_a_header_is_none_of_it(service, upstream):
    answer, _ = talk(
        service.url, request(b"/docs/_doc", b"{}").replace(b"Length: 2\r\n", b"Length: 2 \t\r\nX-Opaque-Id: \t b \r\n")
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nx-opaque-id: b\r\n" in upstream.requests[-1].lower()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
@pytest.mark.parametrize("path", ["/docs/_search", "/v1/rerank"])
def test_curl_that_offers_http_2_is_answered(service, api, path):
    url, body = (api.url, RERANK) if path == "/v1/rerank" else (service.url, SEARCH)
    command = ["curl", "-sS", "--http2", "-H", "Content-Type: application/json", "-d", body.decode(), url + path]
    said = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
    assert said.keys() & {"hits", "results"}


EARLY = {
    "417": b"HTTP/1.1 417 X\r\ncontent-length: 0\r\n\r\n",
    "400": b"HTTP/1.1 400 X\r\ncontent-length: 2\r\n\r\nno",
    "413": b"HTTP/1.1 413 X\r\ncontent-length: 0\r\n\r\n",
    "431": b"HTTP/1.1 431 X\r\ncontent-length: 0\r\n\r\n",
    "503": b"HTTP/1.1 503 X\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
    "two answers": b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok" * 2,
    "told to close": b"HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    "without an end": b"HTTP/1.0 200 X\r\n\r\nok",
}


class Connections(Stub):
    """A node that answers each connection's first request as told, and notes which connection each request came by."""

    def __init__(self, answer, *, early=False):
        self.seen = []
        self._early = early
        super().__init__(answer)

    def _accept(self):
        with contextlib.suppress(OSError):
            for number in itertools.count():
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        with connection, contextlib.suppress(OSError):
            while head := (head_of(connection) if self._early else read_request(connection)):
                self.seen.append((number, head.split(b" HTTP/")[0]))
                connection.sendall(self.answer)
                if b"connection: close" in self.answer or b"HTTP/1.0" in self.answer:
                    return


def head_of(connection):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return b""
        data += byte
    return data


@pytest.mark.parametrize("answer", EARLY)
def test_a_connection_in_doubt_carries_no_other_request(answer):
    with Connections(EARLY[answer]) as node, served(node.url) as running:
        for _ in range(3):
            running.ask("POST", "/docs/_doc", b"{}")
        assert node.seen == [(i, b"POST /docs/_doc") for i in range(3)]


@pytest.mark.parametrize("status", [200, 201, 404, 409])
def test_a_connection_whose_request_and_answer_are_whole_is_used_again(status):
    with Connections(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nok" % status) as node, served(node.url) as running:
        for method in ("GET", "POST", "PUT", "DELETE"):
            running.ask(method, "/docs/_doc/1", None if method == "GET" else b"{}")
        assert [number for number, _ in node.seen] == [0] * 4


def test_an_answer_that_came_before_the_request_was_sent_ends_the_connection():
    """200 to the head of a body that is still under way: the rest of it would be the next request's beginning."""
    ok = b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok"
    with Connections(ok, early=True) as node, served(node.url) as running:
        whole = request(b"/docs/_doc", b"x" * 20_000_000)
        for _ in range(2):
            talk(running.url, whole[:300_000])
            running.ask("GET", "/docs")
        assert node.seen[0] == (0, b"POST /docs/_doc")
        assert (0, b"GET /docs") not in node.seen


def test_an_answer_that_nobody_asked_for_is_nobodys():
    """The node sends another answer a little later, when the connection is in the pool again."""
    mine, stray = (b"HTTP/1.1 200 X\r\ncontent-length: 4\r\n\r\n%s" % word for word in (b"mine", b"else"))
    with Stub(lambda _: [(0, mine), (0.3, stray)]) as stub, served(stub.url) as running:
        assert running.ask("GET", "/docs").body == b"mine"
        time.sleep(0.6)
        assert running.ask("GET", "/docs").body == b"mine"


@pytest.mark.parametrize("value", [b"fl\xc3\xb6he", b"fl\xf6he", b"\xff\x80", b"plain"])
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 100_000])
def test_bytes_outside_ascii_arrive_as_they_were_sent(service, upstream, value, body):
    answer, _ = talk(service.url, request(b"/docs/_doc", body, b"X-Opaque-Id: " + value))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nx-opaque-id: " + value + b"\r\n" in upstream.requests[-1]
    assert upstream.requests[-1].endswith(b"\r\n\r\n" + body)


def test_bytes_outside_ascii_arrive_in_front_of_a_chunked_body(service, upstream):
    answer, _ = talk(service.url, chunked(b"/docs/_doc", b"b\xc3\xb6dy", b"X-Opaque-Id: fl\xf6he"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    head, _, body = upstream.requests[-1].partition(b"\r\n\r\n")
    assert b"x-opaque-id: fl\xf6he" in head
    assert b"".join(body.split(b"\r\n")[1::2]) == b"b\xc3\xb6dy"


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        (b"/docs/_search?q=fl\xc3\xb6he", b"/docs/_search?q=fl%C3%83%C2%B6he"),
        (b"/docs/_doc/fl\xf6he", b"/docs/_doc/fl%C3%B6he"),
        (b"/docs/_doc/%C3%B6?x=%zz&y=a|b", b"/docs/_doc/%C3%B6?x=%zz&y=a|b"),
        (b"*", b"/*"),
    ],
)
def test_a_target_that_is_no_valid_one_arrives_as_opensearch_reads_it(service, upstream, target, arrives):
    method = b"OPTIONS" if target == b"*" else b"GET"
    answer, _ = talk(service.url, b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (method, target))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert upstream.requests[-1].split(b" ")[1] == arrives


JAVA = """
import java.net.URI;
import java.net.http.*;

public class Ask {
    public static void main(String[] words) throws Exception {
        var client = HttpClient.newHttpClient();
        for (int i = 0; i < 3; i++) {
            var request = HttpRequest.newBuilder(URI.create(words[0])).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(words[1])).build();
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body().length());
        }
    }
}
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="java is not here")
@pytest.mark.parametrize("path", ["/docs/_search", "/v1/rerank"])
def test_java_s_client_is_answered_with_its_defaults(service, api, tmp_path, path):
    (tmp_path / "Ask.java").write_text(JAVA)
    url, body = (api.url, RERANK) if path == "/v1/rerank" else (service.url, SEARCH)
    command = ["java", tmp_path / "Ask.java", url + path, body.decode()]
    answers = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    assert [answer.rpartition(" ")[0] for answer in answers] == ["200 HTTP_1_1"] * 3
