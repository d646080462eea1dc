"""Connections that OpenSearch closes just as they are used again: reads are sent once more, writes never."""

from __future__ import annotations

import pytest

from tests.support.servers.hits import opensearch
from tests.support.servers.searches import body, error_of, outcome
from tests.support.servers.served import served
from tests.support.servers.stub import Stub

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSED = [(0, None)]


class ClosesOnce:
    """Closes the connection, unanswered, at the first request for a document or a search; answers from then on."""

    def __init__(self, answer=lambda _: [(0, OK)]):
        self._answer = answer
        self._has_closed = False

    def __call__(self, request):
        line = request.partition(b"\r\n")[0]
        if (b"/_doc/" in line or b"/_search" in line) and not self._has_closed:
            self._has_closed = True
            return CLOSED
        return self._answer(request)


def asked(stub, method, path):
    return sum(request.startswith(f"{method} {path} ".encode()) for request in stub.requests)


@pytest.mark.parametrize("content", [b"{}", None])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_a_write_is_sent_once_even_if_its_connection_is_lost(method, content):
    with Stub(ClosesOnce()) as stub, served(stub.url) as running:
        assert running.ask("GET", "/docs").status == 200
        assert error_of(running.ask(method, "/docs/_doc/1", content)) == (502, "connect_transport_exception")
        assert asked(stub, method, "/docs/_doc/1") == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_is_sent_again_where_its_connection_is_lost(method):
    answered = ClosesOnce(lambda request: [(0, OK[:-2] if request.startswith(b"HEAD") else OK)])
    with Stub(answered) as stub, served(stub.url) as running:
        assert running.ask(method, "/docs").status == 200
        assert running.ask(method, "/docs/_doc/1").status == 200
        assert asked(stub, method, "/docs/_doc/1") == 2


def test_a_reranked_search_is_sent_again_where_its_connection_is_lost():
    with Stub(ClosesOnce(opensearch)) as stub, served(stub.url) as running:
        assert outcome(running.search("docs", body())) == ("applied", "")
        assert len([one for one in stub.requests if b"/docs/_search" in one.partition(b"\r\n")[0]]) == 2


def test_a_read_that_loses_every_connection_goes_to_the_next_node_and_a_write_does_not():
    with Stub(lambda _: CLOSED) as gone, Stub() as alive, served(f"{gone.url},{alive.url}") as running:
        assert running.ask("GET", "/docs/_doc/1").status == 200
        assert asked(gone, "GET", "/docs/_doc/1") in {0, 2}
        running.running.upstream._resting.clear()
        statuses = []
        for _ in range(4):
            statuses.append(running.ask("PUT", "/docs/_doc/1", b"{}").status)
            running.running.upstream._resting.clear()
        assert statuses.count(502) == asked(gone, "PUT", "/docs/_doc/1") == 2
        assert statuses.count(200) == asked(alive, "PUT", "/docs/_doc/1") == 2
