"""A caller over the rate limit gets OpenSearch's own order, with the reason."""

from __future__ import annotations

import json

from tests.support.servers.hits import by_model
from tests.support.servers.searches import JSON, body, ids, outcome
from tests.support.servers.served import served
from tests.support.waiting import until

FIRST_STAGE = [str(i) for i in range(10)]


def test_searches_beyond_the_limit_keep_the_first_stages_order(upstream):
    with served(upstream.url, requests_per_minute=1) as running:
        first, second = (running.search("docs", body()) for _ in range(2))
        assert (outcome(first), ids(first)) == (("applied", ""), by_model()[:10])
        assert (second.status, ids(second)) == (200, FIRST_STAGE)
        status, why = outcome(second)
        assert status == "failed"
        assert why.startswith("0 of 1 requests are left in this minute; ask again in ")
        counted = b'sidecar_fallbacks_total{api="opensearch",model="e5-small",reason="rate_limited",rule=""} 1.0'
        until(lambda: counted in running.ask("GET", "/_sidecar/metrics").body)
        # What is not reranked has no limit.
        assert running.search("docs", body(rerank=False)).status == 200


def test_a_caller_who_wants_an_error_is_told_when_to_ask_again(upstream):
    with served(upstream.url, requests_per_minute=1) as running:
        wanted = body(rerank={"on_failure": "error"})
        assert running.search("docs", wanted).status == 200
        refused = running.search("docs", wanted)
        assert (refused.status, refused.json()["status"]) == (429, 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        lines = b"{}\n" + json.dumps(wanted).encode() + b"\n"
        [one] = running.ask("POST", "/docs/_msearch", lines, JSON).json()["responses"]
        assert one["status"] == 429


def test_behind_a_trusted_proxy_each_client_has_its_own_limit(upstream):
    with served(upstream.url, requests_per_minute=1, trusted_proxies=("127.0.0.1",)) as running:
        for client, status in [("10.1.1.1", "applied"), ("10.1.1.2", "applied"), ("10.1.1.1", "failed")]:
            sent = json.dumps(body()).encode()
            answer = running.ask("POST", "/docs/_search", sent, JSON | {"x-forwarded-for": client})
            assert outcome(answer)[0] == status


def test_a_search_that_no_minute_allows_is_too_large(upstream):
    with served(upstream.url, tokens_per_minute=10) as running:
        refused = running.search("docs", body(rerank={"on_failure": "error"}))
        assert (refused.status, refused.headers.get("retry-after")) == (413, None)


def test_each_search_of_an_msearch_counts(upstream):
    with served(upstream.url, requests_per_minute=2) as running:
        lines = b"".join(b"{}\n" + json.dumps(body(f"q {number}")).encode() + b"\n" for number in range(3))
        found = running.ask("POST", "/docs/_msearch", lines, JSON).json()["responses"]
        assert [one["ext"]["rerank"]["status"] for one in found] == ["applied", "applied", "failed"]


def test_tokens_have_a_limit_too(upstream):
    with served(upstream.url, tokens_per_minute=10) as running:
        status, why = outcome(running.search("docs", body()))
        assert status == "failed"
        assert why.endswith("tokens, and 10 a minute are allowed")


def test_shadows_count_against_nobody(upstream):
    rules = [{"index": "docs", "shadow": True}]
    with served(upstream.url, requests_per_minute=1, rules=rules) as running:
        for _ in range(3):
            assert outcome(running.search("docs", body(rerank=False)))[0] == "skipped"
        assert outcome(running.search("docs", body())) == ("applied", "")
