"""Several requests in one: each has its own status, and the limits of a request hold for all together."""

from __future__ import annotations

import pytest

from sidecar.serving.rerank_api.engine import RequestLimits
from sidecar.serving.scorer.rate_limits import RateLimits
from tests.support.servers.api_server import served_api

PATH = "/v1/rerank/batch"
GOOD = {"query": "q", "documents": ["score 1", "score 2"]}
RESULTS = [{"index": 1, "relevance_score": 0.880797078}, {"index": 0, "relevance_score": 0.731058579}]


@pytest.fixture(scope="module")
def small():
    with served_api(limits=RequestLimits(documents=5, characters=99, batch=3)) as served:
        yield served


def posted(api, *requests):
    response = api.post(PATH, {"requests": list(requests)})
    assert response.status_code == 200
    return response.json()["responses"]


def test_each_request_is_answered_in_its_place(api):
    other = {
        "query": {"text": "q"},
        "documents": [{"text": "score 3"}],
        "top_n": 1,
        "raw_scores": True,
        "model": "other",
    }
    first, second = posted(api, GOOD, other)
    assert (first["index"], first["status"], first["body"]["results"]) == (0, 200, RESULTS)
    assert (second["index"], second["status"]) == (1, 200)
    assert second["body"]["results"] == [{"index": 0, "relevance_score": 3.0}]
    assert second["body"]["model"] == "other"


def test_a_body_is_what_the_request_alone_gets(api):
    response = api.post(PATH, {"requests": [GOOD]}, headers={"x-request-id": "b-1"})
    alone = api.post("/v1/rerank", GOOD, headers={"x-request-id": "b-1-0"}).json()
    assert response.json() == {"id": "b-1", "responses": [{"index": 0, "status": 200, "body": alone}]}


@pytest.mark.parametrize("other", [{"model": "other"}, {"top_n": 1}, {"documents": ["score 1"]}])
def test_a_key_beside_the_requests_is_refused_because_none_of_them_would_follow_it(api, other):
    response = api.post(PATH, {"requests": [GOOD]} | other)
    (key,) = other
    words = f"{key}: a batch holds requests alone; each of them has its own keys"
    assert (response.status_code, response.json()["message"]) == (422, words)
    assert api.post(PATH, {"requests": [GOOD], key: None}).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "status", "message"),
    [
        ({"query": "q"}, 422, "documents: field required"),
        ({"query": "q", "documents": []}, 400, "documents must not be empty"),
        ({"query": " ", "documents": ["a"]}, 400, "the query must not be empty"),
        (GOOD | {"model": "gpt"}, 404, "there is no model 'gpt' here; declared are m, other, rerank-v3.5"),
        ("words", 422, "a request is an object"),
        (None, 422, "a request is an object"),
        (GOOD | {"min_relevance": 0.5}, 422, "min_relevance"),
    ],
)
def test_a_mistake_concerns_its_own_request(api, wrong, status, message):
    before, mistaken, after = posted(api, GOOD, wrong, GOOD)
    assert (before["status"], after["status"]) == (200, 200)
    assert (mistaken["index"], mistaken["status"]) == (1, status)
    assert message in mistaken["body"]["message"]
    assert mistaken["body"] == api.post("/v1/rerank", wrong).json() or not isinstance(wrong, dict)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "requests: a list of requests is required"),
        ({"requests": GOOD}, 422, "requests: a list of requests is required"),
        ({"requests": []}, 400, "requests must not be empty"),
        ({"requests": [GOOD] * 4}, 413, "4 requests where 3 are allowed"),
        (
            {"requests": [GOOD, {"query": "q", "documents": ["a"] * 4}]},
            413,
            "6 documents in all requests where 5 are allowed",
        ),
        (
            {"requests": [{"query": "q" * 40, "documents": ["a"]}, {"query": "q" * 40, "documents": ["b" * 19]}]},
            413,
            "100 characters, the query counted with each document, where 99 are allowed",
        ),
    ],
)
def test_a_batch_beyond_a_limit_is_refused_as_a_whole(small, body, status, message):
    response = small.post(PATH, body)
    assert (response.status_code, response.json()["message"]) == (status, message)


def test_the_deadline_is_that_of_the_whole_batch():
    with served_api(limits=RequestLimits(seconds=0.6), scorer_options={"slice_seconds": 0.01}) as api:
        slow = [{"query": f"q {number}", "documents": [f"sleep 400 {number}"]} for number in range(4)]
        statuses = [one["status"] for one in posted(api, *slow)]
        assert statuses.count(200) == 1
        assert statuses.count(504) == 3


def test_each_request_counts_against_the_callers_rate():
    with served_api(rates=RateLimits(requests=2)) as api:
        found = posted(api, GOOD, GOOD, GOOD)
        assert [one["status"] for one in found] == [200, 200, 429]
        assert 1 <= found[2]["retry_after"] <= 60
        assert found[2]["body"]["message"].startswith("0 of 2 requests are left in this minute")
        assert api.post(PATH, {"requests": [GOOD]}).status_code == 429
