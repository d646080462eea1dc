"""Requests and tokens a minute of each caller: refused in each dialect's way, and told in the headers."""

from __future__ import annotations

import pytest

from sidecar.serving.http.callers import TrustedProxies
from sidecar.serving.rerank_api.middleware import AccessPolicy
from sidecar.serving.scorer.rate_limits import RateLimits
from tests.support.servers.api_server import served_api

GOOD = {"query": "q", "documents": ["score 1"]}
KEYS = {"team-a": "key-a", "team-b": "clé-b"}


def bearer(key):
    return {"authorization": f"Bearer {key}".encode()}


def limit_headers(response):
    return {name: value for name, value in response.headers.items() if name.startswith("x-ratelimit")}


@pytest.fixture(scope="module")
def used_up():
    """An API whose only request of this minute was sent by this address."""
    with served_api(rates=RateLimits(requests=1)) as served:
        assert served.post("/v1/rerank", GOOD).status_code == 200
        yield served


REFUSALS = {
    "/cohere/v2/rerank": lambda words: {"message": words},
    "/jina/v1/rerank": lambda words: {"detail": words},
    "/voyage/v1/rerank": lambda words: {"detail": words},
    "/mixedbread/v1/reranking": lambda words: {"detail": words},
    "/tei/rerank": lambda words: {"error": words, "error_type": "Overloaded"},
    "/vllm/rerank": lambda words: {
        "error": {"message": words, "type": "TooManyRequestsError", "param": None, "code": 429}
    },
    "/v1/ranking": lambda words: {"object": "error", "message": words, "detail": {}, "type": "invalid_request_error"},
}


@pytest.mark.parametrize("path", REFUSALS)
def test_a_request_too_many_is_refused_in_the_dialect(used_up, path):
    response = used_up.post(path, GOOD)
    seconds = int(response.headers["retry-after"])
    assert 1 <= seconds <= 60
    words = f"0 of 1 requests are left in this minute; ask again in {seconds} s"
    assert (response.status_code, response.json()) == (429, REFUSALS[path](words))
    assert limit_headers(response) == {
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": f"{seconds}s",
    }


def test_behind_a_trusted_proxy_each_client_has_its_own_limit():
    policy = AccessPolicy(trusted=TrustedProxies(["127.0.0.1"]))
    with served_api(rates=RateLimits(requests=1), access=policy) as api:
        for client, status in [("10.1.1.1", 200), ("10.1.1.2", 200), ("10.1.1.1", 429), ("1.2.3.4, 10.1.1.2", 429)]:
            assert api.post("/v1/rerank", GOOD, headers={"x-forwarded-for": client}).status_code == status


def test_nobody_else_names_a_caller():
    with served_api(rates=RateLimits(requests=1)) as api:
        for client, status in [("10.1.1.1", 200), ("10.1.1.2", 429)]:
            assert api.post("/v1/rerank", GOOD, headers={"x-forwarded-for": client}).status_code == status


def test_what_scores_nothing_is_not_counted(used_up):
    for path in ("/health", "/v1/models", "/metrics", "/"):
        response = used_up.client.get(path)
        assert (response.status_code, limit_headers(response)) == (200, {})


def test_refusals_are_counted(used_up):
    used_up.post("/v1/rerank", GOOD)
    text = used_up.client.get("/metrics").text
    assert 'sidecar_rate_limited_total{client="",unit="requests"}' in text


def test_tokens_are_estimated_before_anything_is_scored():
    with served_api(rates=RateLimits(tokens=20)) as api:
        # 1 + (4 + 32) // 4 tokens are 10.
        texts = [f"{number} {'x' * 30}" for number in range(4)]
        first = api.post("/v1/rerank", {"query": "find", "documents": texts[:1]})
        assert (first.status_code, first.headers["x-ratelimit-remaining-tokens"]) == (200, "10")
        too_many = api.post("/tei/rerank", {"query": "find", "texts": texts[1:3]})
        assert (too_many.status_code, too_many.json()["error_type"]) == (429, "Overloaded")
        assert 1 <= int(too_many.headers["retry-after"]) <= 60
        never = api.post("/cohere/v2/rerank", {"query": "find", "documents": texts[1:]})
        assert never.status_code == 422
        assert never.json()["message"] == "invalid request: this takes 30 tokens, and 20 a minute are allowed"
        assert "retry-after" not in never.headers
        # What is cached is not scored again.
        again = api.post("/v1/rerank", {"query": "find", "documents": texts[:1]})
        assert (again.status_code, again.headers["x-ratelimit-remaining-tokens"]) == (200, "10")


def test_each_client_key_has_a_limit_of_its_own():
    with served_api(rates=RateLimits(requests=1), access=AccessPolicy(client_keys=KEYS)) as api:
        for key in KEYS.values():
            assert api.post("/v1/rerank", GOOD, headers=bearer(key)).status_code == 200
            assert api.post("/v1/rerank", GOOD, headers=bearer(key)).status_code == 429
        assert 'sidecar_rate_limited_total{client="team-a",unit="requests"} 1.0' in (
            api.client.get("/metrics", headers=bearer("key-a")).text
        )


def test_wrong_keys_are_refused_and_not_counted():
    rates = RateLimits(requests=1)
    with served_api(rates=rates, access=AccessPolicy(client_keys=KEYS)) as api:
        for headers in ({}, *(bearer(f"wrong {number}") for number in range(50))):
            assert api.post("/v1/rerank", GOOD, headers=headers).status_code == 401
        assert len(rates._storage.storage) == 0
        assert api.post("/v1/rerank", GOOD, headers={"x-sidecar-api-key": "key-a"}).status_code == 200


def test_the_services_own_key_admits_too_and_is_limited_by_address():
    with served_api(rates=RateLimits(requests=1), access=AccessPolicy("own", KEYS)) as api:
        assert [api.post("/v1/rerank", GOOD, headers=bearer("own")).status_code for _ in range(2)] == [200, 429]
        assert api.post("/v1/rerank", GOOD, headers=bearer("key-a")).status_code == 200
