"""Requests are refused, each in its way: too much, too often, too late, without a key."""

from __future__ import annotations

import socket
import threading

import pytest
from fastapi import APIRouter

from sidecar.serving.rerank_api.dialect import Dialect
from sidecar.serving.rerank_api.engine import RequestLimits
from sidecar.serving.rerank_api.middleware import AccessPolicy
from tests.support.servers.api_server import served_api
from tests.support.waiting import until

GOOD = {"query": "q", "documents": ["score 1"]}
ONE = [{"index": 0, "relevance_score": 0.731058579}]


@pytest.fixture(scope="module")
def small():
    with served_api(limits=RequestLimits(documents=3, characters=100, body=1000, body_seconds=0.5)) as served:
        yield served


def test_top_100_and_top_1000_are_answered_whole_by_default(api):
    for count in (100, 1000, 2000):
        texts = [f"score {i}" for i in range(count)]
        for path, body in (("/tei/rerank", {"texts": texts}), ("/vllm/rerank", {"documents": texts})):
            response = api.post(path, {"query": f"top {count}", **body})
            assert response.status_code == 200
            found = response.json()
            assert [one["index"] for one in (found if isinstance(found, list) else found["results"])] == list(
                reversed(range(count))
            )


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/rerank", 413), ("/cohere/v2/rerank", 422), ("/jina/v1/rerank", 422), ("/vllm/rerank", 400)],
)
def test_more_documents_than_allowed(small, path, status):
    response = small.post(path, {"query": "q", "documents": ["a"] * 4})
    assert response.status_code == status
    assert "4 documents where 3 are allowed" in response.text


def test_more_texts_than_allowed(small):
    response = small.post("/tei/rerank", {"query": "q", "texts": ["a"] * 4})
    assert (response.status_code, response.json()) == (
        413,
        {"error": "4 texts where 3 are allowed", "error_type": "Validation"},
    )


def test_the_query_counts_with_every_document(small):
    # 40 + 10 and 40 + 10 characters are 100; one more is too many.
    allowed = {"query": "q" * 40, "documents": ["d" * 10, "d" * 10]}
    assert small.post("/v1/rerank", allowed).status_code == 200
    response = small.post("/v1/rerank", allowed | {"documents": ["d" * 10, "d" * 11]})
    assert (response.status_code, response.json()["message"]) == (
        413,
        "101 characters, the query counted with each document, where 100 are allowed",
    )


def test_a_body_is_counted_as_it_comes(small):
    response = small.post("/tei/rerank", {"query": "q", "texts": ["a" * 1000]})
    assert (response.status_code, response.json()) == (
        413,
        {"error": "the body is larger than 1000 bytes", "error_type": "Validation"},
    )

    def parts():
        for _ in range(100):
            yield b" " * 100

    assert small.client.post("/v1/rerank", content=parts()).status_code == 413
    assert small.post("/v1/rerank", GOOD).status_code == 200


def test_a_body_that_does_not_come_is_not_waited_for(small):
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")


def in_background(work):
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_more_at_a_time_than_allowed_are_told_to_come_again():
    with served_api(limits=RequestLimits(requests=1)) as api:
        first = in_background(lambda: api.post("/v1/rerank", {"query": "sleep 500", "documents": ["a"]}))
        until(lambda: api.engine.service.scorers.waiting_passages)
        response = api.post("/vllm/rerank", GOOD)
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert response.json()["error"]["message"] == "1 requests are being answered already"
        first.join()
        assert api.post("/v1/rerank", GOOD).json()["results"] == ONE


def test_a_full_queue_is_told_and_is_no_failure_of_the_scorer():
    with served_api(scorer_options={"most_waiting": 10}) as api:
        for _ in range(2000):  # twice as many as open the breaker
            response = api.post("/tei/rerank", {"query": "q", "texts": ["a"] * 11})
            if response.status_code != 429:
                break
            if _ > 5:
                break
        assert (response.status_code, response.headers["retry-after"], response.json()) == (
            429,
            "1",
            {"error": "0 passages wait to be scored already", "error_type": "Overloaded"},
        )
        assert not api.engine.service.scorers.breaker_open
        assert api.post("/v1/rerank", GOOD).status_code == 200


def test_what_is_not_scored_in_time_is_an_error_and_asking_again_goes_on():
    with served_api(limits=RequestLimits(seconds=0.6), scorer_options={"slice_seconds": 0.01}) as api:
        body = {"query": "q", "documents": [f"score {i} sleep 150" for i in range(6)]}
        response = api.post("/cohere/v2/rerank", body)
        assert response.status_code == 504
        message = response.json()["message"]
        scored, _, rest = message.partition(" ")
        assert 1 <= int(scored) < 6
        assert rest == (
            "of 6 passages were scored within 0.6 s; they are cached, so another request continues from there"
        )
        again = api.post("/cohere/v2/rerank", body)
        assert [one["index"] for one in again.json()["results"]] == [5, 4, 3, 2, 1, 0]


def test_nobody_scores_for_who_left():
    with served_api(scorer_options={"slice_seconds": 0.01}) as api:
        host, port = api.url.removeprefix("http://").split(":")
        body = b'{"query": "sleep 100", "documents": [%s]}' % b", ".join([b'"a%d"' % i for i in range(200)])
        head = b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head + body)
            until(lambda: 0 < api.engine.service.scorers.waiting_passages < 199)
        until(lambda: api.engine.service.scorers.waiting_passages == 0)
        assert api.post("/v1/rerank", GOOD).json()["results"] == ONE
        assert 'sidecar_requests_total{api="rerank",kind="neutral",status="499"} 1.0' in metrics(api)


def metrics(api):
    return api.engine.metrics.text(api.engine.service).decode()


def test_a_scorer_that_dies_is_told_and_replaced():
    with served_api() as api:
        response = api.post("/tei/rerank", {"query": "die", "texts": ["a"]})
        assert (response.status_code, response.headers["retry-after"], response.json()) == (
            503,
            "1",
            {"error": "the scorer process ended", "error_type": "Unhealthy"},
        )
        assert api.client.get("/health").status_code == 503
        assert api.client.get("/tei/health").json() == {
            "error": "the scorer process ended",
            "error_type": "Unhealthy",
        }
        until(lambda: api.client.get("/health").status_code == 200)
        assert api.post("/v1/rerank", GOOD).json()["results"] == ONE


@pytest.fixture(scope="module")
def locked():
    with served_api(access=AccessPolicy("sésame", allowed_hosts=frozenset({"127.0.0.1"}))) as served:
        yield served


KEY = "sésame".encode()


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("/cohere/v2/rerank", {"message": "the API key is missing or wrong"}),
        ("/jina/v1/rerank", {"detail": "the API key is missing or wrong"}),
        ("/tei/rerank", {"error": "the API key is missing or wrong", "error_type": "Validation"}),
        (
            "/vllm/score",
            {
                "error": {
                    "message": "the API key is missing or wrong",
                    "type": "AuthenticationError",
                    "param": None,
                    "code": 401,
                }
            },
        ),
    ],
)
def test_without_the_key_nothing_is_scored(locked, path, refusal):
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": b"Bearer " + KEY + b"x"},
        {"authorization": KEY},
    ):
        response = locked.post(path, GOOD, headers=headers)
        assert (response.status_code, response.headers["www-authenticate"], response.json()) == (401, "Bearer", refusal)


def test_with_the_key_everything_is(locked):
    for headers in (
        {"authorization": b"Bearer " + KEY},
        {"authorization": b"bearer  " + KEY},
        {"x-sidecar-api-key": KEY},
    ):
        assert locked.post("/v1/rerank", GOOD, headers=headers).json()["results"] == ONE
    assert locked.client.get("/v1/models").status_code == 401
    assert [locked.client.get(path).status_code for path in ("/", "/health", "/tei/health", "/openapi.json")] == [
        200
    ] * 4


class Broken:
    """A neighbour that fails in a way nobody thought of."""

    dialect = Dialect("broken", lambda status, problem: {"oh": problem.message, "status": status})
    open_paths = frozenset()

    def __init__(self, service):
        self.router = APIRouter()
        self.router.get("/broken")(self.fail)

    def covers(self, path):
        return path == "/broken"

    async def fail(self):
        raise ZeroDivisionError


def test_a_failure_of_ours_is_told_and_logged(caplog):
    with served_api(neighbour_of=Broken) as api:
        response = api.client.get("/broken", headers={"x-request-id": "r-1"})
        assert (response.status_code, response.json()) == (
            500,
            {"oh": "the service failed; its log says how", "status": 500},
        )
        assert response.headers["x-request-id"] == "r-1"
        until(lambda: "ZeroDivisionError" in caplog.text)
        until(lambda: 'sidecar_requests_total{api="rerank",kind="broken",status="500"} 1.0' in metrics(api))


def test_another_host_name_is_not_served(locked):
    response = locked.client.get("/", headers={"host": "evil.example"})
    assert (response.status_code, response.json()["message"]) == (403, "this host name is not served here")


def test_a_request_keeps_its_name(api):
    response = api.post("/cohere/v2/rerank", GOOD, headers={"x-request-id": "abc-1", "x-opaque-id": "search 7"})
    assert (response.headers["x-request-id"], response.json()["id"]) == ("abc-1", "abc-1")
    assert response.headers["x-opaque-id"] == "search 7"
    for unfit in ("ü".encode(), b"a" * 201, b""):
        response = api.post("/cohere/v2/rerank", GOOD, headers={"x-request-id": unfit, "x-opaque-id": unfit})
        assert "x-opaque-id" not in response.headers
        assert len(response.headers["x-request-id"]) == 36


def test_requests_are_counted_by_dialect_and_status(api):
    api.post("/jina/v1/rerank", GOOD)
    api.post("/jina/v1/rerank", {})
    # A request is counted once its answer is out.
    until(lambda: 'sidecar_requests_total{api="rerank",kind="jina",status="422"}' in metrics(api))
    text = metrics(api)
    assert 'sidecar_requests_total{api="rerank",kind="jina",status="200"}' in text
    assert 'sidecar_reranks_total{api="rerank",model="m",rule="",status="applied"}' in text


@pytest.mark.parametrize("key", ["text_2", "documents", "items", "data_2"])
def test_a_list_too_long_is_refused_before_its_items_are_looked_at(small, key):
    response = small.post("/score", {"text_1": "fox", key: [{}] * 4})
    assert response.status_code == 400
    assert f"4 {key} where 3 are allowed" in response.text
