"""`/v1/compare`: one search with its first stage and its rerankings, in the caller's own rights."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.support.servers.hits import answer, by_model, opensearch, text
from tests.support.servers.served import ask, served
from tests.support.servers.stub import Stub

JSON = {"content-type": "application/json"}
KEY = {"x-sidecar-api-key": "s3cret"}
ASKED = {"index": "docs", "query": "fox", "window": 20}


@pytest.fixture(scope="module")
def stub():
    with Stub(opensearch) as stub:
        yield stub


@pytest.fixture(scope="module")
def service(stub):
    with served(stub.url, models={"other": "other"}, max_body_bytes=20_000) as service:
        yield service


@pytest.fixture(scope="module")
def guarded(stub):
    with served(stub.url, api_key="s3cret", client_keys={"team": "t3am"}) as service:
        yield service


def compared(service, body, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(service.api_url, "POST", "/v1/compare", json.dumps(body).encode(), JSON | named)


def order(ranking):
    return [str(hit["first_stage_rank"] - 1) for hit in ranking["hits"]]


def test_both_orders_and_both_scores(service):
    found = compared(service, ASKED).json()
    assert (found["engine"], found["index"], found["query"], found["window"]) == ("opensearch", "docs", "fox", 20)
    assert [(hit["docid"], hit["rank"], hit["score"]) for hit in found["hits"][:2]] == [
        ("0", 1, 120.5),
        ("1", 2, 119.5),
    ]
    assert found["hits"][2] == {
        "docid": "2", "rank": 3, "score": 118.5, "title": "", "text": "score 24", "fields": ["text"], "index": "docs",
        "highlight": {},
    }  # fmt: skip
    (ranking,) = found["rankings"]
    assert (ranking["model"], ranking["status"], ranking["reason"], ranking["words"]) == ("e5-small", "applied", "", "")
    assert order(ranking) == by_model(20)[:20]
    best = ranking["hits"][0]
    assert (best["rank"], best["first_stage_rank"], best["rerank_score"], best["score"]) == (1, 20, 47.0, 47.0)
    assert set(found["seconds"]) == {"fetch", "total"}
    assert set(ranking["seconds"]) == {"score", "fuse"}


def test_several_models_and_fusions_of_the_same_hits(service):
    linear = {"method": "linear", "weight": 0.5}
    rankings = [{}, {"model": "other", "fusion": linear}, {"fusion": "rrf"}]
    first, second, third = compared(service, ASKED | {"rankings": rankings}).json()["rankings"]
    assert (first["fusion"]["method"], second["fusion"]["weight"], third["fusion"]["method"]) == ("rerank", 0.5, "rrf")
    assert (first["model"], second["model"], second["model_share"]) == ("e5-small", "other", 0.5)
    hit = next(hit for hit in second["hits"] if hit["first_stage_rank"] == 1)  # the highest and the lowest score
    assert (hit["normalized_first_stage"], hit["normalized_rerank"], hit["score"]) == (1.0, 0.0, 0.5)


def test_the_engines_own_responses_come_if_they_are_asked_for(service):
    found = msgspec.json.decode(compared(service, ASKED | {"responses": True}).body, type=dict[str, msgspec.Raw])
    assert b'"price":0.10' in bytes(found["response"])
    ids = [[hit["_id"] for hit in one["hits"]["hits"]] for one in map(msgspec.json.decode, (found["response"],))]
    assert ids == [[str(i) for i in range(20)]]
    (ranking,) = msgspec.json.decode(found["rankings"])
    assert [hit["_id"] for hit in ranking["response"]["hits"]["hits"]] == by_model(20)[:20]
    assert "response" not in compared(service, ASKED).json()


def test_a_search_body_is_sent_as_the_proxy_sends_it(service, stub):
    body = {"query": {"match": {"text": "fox"}}, "size": 5, "track_total_hits": False}
    found = compared(service, {"index": "docs", "body": body, "window": 10}).json()
    assert len(found["hits"]) == 10
    assert json.loads(stub.requests[-1].partition(b"\r\n\r\n")[2])["track_total_hits"] is False
    assert found["request"] == {"path": "/docs/_search", "body": body}


def test_a_search_that_can_not_be_reranked_says_why_and_shows_its_hits(service):
    found = compared(service, {"index": "docs", "body": {"query": {"match": {"text": "a"}}, "sort": ["price"]}}).json()
    (ranking,) = found["rankings"]
    assert (ranking["status"], ranking["reason"], ranking["hits"]) == ("skipped", "own_order", [])
    assert [hit["text"] for hit in found["hits"][:2]] == ["score -50", "score -13"]


@pytest.mark.parametrize(
    ("query", "status", "reason"), [("fail", "failed", "scoring_failed"), ("nan", "failed", "scoring_failed")]
)
def test_a_failed_reranking_keeps_the_first_stage(service, query, status, reason):
    found = compared(service, ASKED | {"query": query}).json()
    (ranking,) = found["rankings"]
    assert (ranking["status"], ranking["reason"], len(found["hits"])) == (status, reason, 20)


def test_a_late_passage_is_partial(service):
    found = compared(service, {"index": "docs", "query": "sleep 60", "window": 100, "timeout_ms": 1500}).json()
    (ranking,) = found["rankings"]
    assert (ranking["status"], ranking["reason"]) == ("partial", "partly_scored")
    assert [hit["score"] for hit in ranking["hits"]][-1] is None


def test_the_switch_holds_here_too(service):
    switch = {"content-type": "application/json"}
    ask(service.url, "POST", "/_sidecar/rerank", b'{"enabled": false}', switch)
    try:
        (ranking,) = compared(service, ASKED).json()["rankings"]
    finally:
        ask(service.url, "POST", "/_sidecar/rerank", b'{"enabled": true}', switch)
    assert (ranking["status"], ranking["reason"]) == ("skipped", "switched_off")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"query": "fox"}, 400, "Object missing required field `index`"),
        ({"index": "docs"}, 400, "give either query or body"),
        ({"index": "docs", "query": " "}, 400, "the query must not be empty"),
        ({"index": "docs", "query": "fox", "body": {}}, 400, "give either query or body"),
        ({"index": "docs", "body": []}, 400, "body is not a JSON object"),
        ({"index": "docs", "query": "fox", "windw": 3}, 400, "Object contains unknown field `windw`"),
        ({"index": "docs", "query": "fox", "window": 0}, 400, "Expected `int` >= 1 - at `$.window`"),
        ({"index": "_nodes", "query": "fox"}, 400, "'_nodes' names no index"),
        ({"index": "a/_doc/1?x=", "query": "fox"}, 400, "'a/_doc/1?x=' names no index"),
        ({"index": "docs", "query": "fox", "rankings": [{"model": "gpt"}]}, 404, "there is no model 'gpt' here"),
        ({"index": "docs", "query": "fox", "rankings": [{}] * 5}, 400, "length <= 4"),
        ({"index": "docs", "query": "fox", "engine": "lucene"}, 404, "there is no lucene index here"),
        (
            {"index": "docs", "query": "f", "rankings": [{"fusion": {"method": "harmonic", "normalization": "l2"}}]},
            400,
            "not defined for negative scores",
        ),
        ({"index": "docs", "query": "broken"}, 400, "no"),
        ({"index": "docs", "query": "x" * 30_000}, 413, "the body is larger than 20000 bytes"),
    ],
)
def test_what_is_refused(service, body, status, words):
    answer = compared(service, body)
    assert (answer.status, words in answer.json()["error"]) == (status, True), answer.body


def test_a_refusal_of_opensearch_is_told_apart(service):
    assert compared(service, {"index": "docs", "query": "broken"}).json()["engine_status"] == 400


def test_no_form_and_no_foreign_page_is_answered(service):
    raw = json.dumps(ASKED).encode()
    assert ask(service.api_url, "POST", "/v1/compare", raw, {"content-type": "text/plain"}).status == 415
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.example:9281"},
        {"x-forwarded-for": "10.0.0.1"},
    ):
        for method, body in (("POST", raw), ("GET", None)):
            answer = ask(service.api_url, method, "/v1/compare", body, JSON | headers)
            assert (answer.status, "error" in answer.json()) == (403, True), headers
    own = {"origin": service.api_url, "sec-fetch-site": "same-origin"}
    assert ask(service.api_url, "POST", "/v1/compare", raw, JSON | own).status == 200


def test_the_refusal_of_a_caller_from_elsewhere_names_the_remedy(service):
    answer = compared(service, ASKED, x_forwarded_for="10.0.0.1")
    assert answer.json() == {"error": "without SIDECAR_API_KEY only this machine itself may compare"}


def test_origins_that_may_rerank_may_not_search(stub):
    with served(stub.url, cors_origins="https://app.example") as service:
        answer = compared(service, ASKED, origin="https://app.example")
    assert answer.status == 403


def test_the_first_hits_of_a_ranking_have_spans(service):
    (ranking,) = compared(service, ASKED | {"spans": {"hits": 2, "max_spans": 1}}).json()["rankings"]
    best = [text(int(docid)) for docid in order(ranking)]
    assert [[(one["start"], one["end"]) for one in hit["spans"]] for hit in ranking["hits"][:2]] == [
        [(0, len(words))] for words in best[:2]
    ]
    assert all("spans" not in hit for hit in ranking["hits"][2:])
    assert ranking["without_spans"] == 0
    (plain,) = compared(service, ASKED).json()["rankings"]
    assert "without_spans" not in plain
    assert all("spans" not in hit for hit in plain["hits"])


def test_spans_share_the_budget_of_their_ranking():
    # The passage takes 0.8 s, and so does its second sentence alone, for which 0.5 s are left at most.
    hit = {"_index": "docs", "_id": "1", "_score": 1.0, "_source": {"text": "A score 1. Then sleep 800."}}
    found = {"took": 1, "timed_out": False, "_shards": {}, "hits": {"total": {"value": 1}, "hits": [hit]}}
    with Stub(lambda _: answer(200, json.dumps(found))) as stub, served(stub.url) as service:
        (ranking,) = compared(service, ASKED | {"timeout_ms": 1300, "spans": True}).json()["rankings"]
    assert (ranking["status"], ranking["without_spans"]) == ("applied", 1)
    assert ranking["hits"][0]["spans"] is None


@pytest.mark.parametrize("wrong", [{"hits": 0}, {"hits": 101}, {"max_spans": 0}, {"output": "both"}, "yes"])
def test_spans_that_make_no_sense_are_refused(service, wrong):
    assert compared(service, ASKED | {"spans": wrong}).status == 400


def test_the_key_is_needed_and_never_reaches_opensearch(guarded, stub):
    assert compared(guarded, ASKED).status == 401
    team = {"authorization": "Bearer t3am"}
    for headers in (KEY, {"authorization": "Bearer s3cret"}, KEY | {"authorization": "bearer  s3cret"}, team):
        stub.requests.clear()
        assert compared(guarded, ASKED, **headers).status == 200
        assert len(stub.requests) > 0
        assert not any(b"s3cret" in request or b"t3am" in request for request in stub.requests)


def test_a_client_with_a_key_has_one_rate_whatever_it_searches_with(stub):
    # The 20 passages are estimated as 69 tokens with each query.
    with served(stub.url, client_keys={"team": "t3am"}, tokens_per_minute=100) as service:
        key = {"x-sidecar-api-key": "t3am"}
        (first,) = compared(service, ASKED, **key).json()["rankings"]
        other = compared(service, ASKED | {"query": "dog"}, **key, authorization="Basic YWRhOng=")
    assert first["status"] == "applied"
    (second,) = other.json()["rankings"]
    assert (second["status"], second["reason"]) == ("failed", "rate_limited")


def test_the_callers_account_reaches_opensearch_and_nothing_of_the_page_does(guarded, stub):
    stub.requests.clear()
    own = KEY | {"authorization": "Basic YWRhOng=", "cookie": "a=b", "referer": "http://x/ui?q=secret"}
    assert compared(guarded, ASKED, **own).status == 200
    for request in stub.requests:
        assert b"Basic YWRhOng=" in request
        assert not any(word in request.lower() for word in (b"cookie", b"referer", b"secret"))


def test_what_can_be_compared(service):
    found = ask(service.api_url, "GET", "/v1/compare").json()
    assert (found["engines"], found["lucene_indexes"], found["window"]) == (["opensearch"], [], 100)
    assert [(one["name"], one["fusion"]["method"]) for one in found["models"]] == [
        ("e5-small", "rerank"),
        ("other", "rerank"),
    ]


LISTED = {"indices": [{"name": f"docs-{i:04}"} for i in range(1003)]}


def listing(request):
    """List indexes to the caller with an account; refuse the others as OpenSearch's security plugin does."""
    if not request.startswith(b"GET /_resolve/index/*?expand_wildcards=open "):
        return opensearch(request)
    if b"Basic YWRhOng=" not in request:
        return answer(403, '{"error": {"reason": "no permissions"}, "status": 403}')
    return answer(200, json.dumps(LISTED))


def test_indexes_are_listed_in_the_callers_rights():
    def asked(**headers):
        found = ask(service.api_url, "GET", "/v1/compare/indexes", headers=headers)
        return found.status, found.json()

    with Stub(listing) as stub, served(stub.url, api_key="s3cret") as service:
        assert asked()[0] == 401
        assert asked(**KEY) == (200, {"opensearch_indexes": [], "left_out": 0})
        assert asked(**KEY, origin="https://evil.example")[0] == 403
        status, found = asked(**KEY, authorization="Basic YWRhOng=")
        assert (status, found["left_out"]) == (200, 3)
        assert found["opensearch_indexes"] == [f"docs-{i:04}" for i in range(1000)]
        assert not any(b"s3cret" in request for request in stub.requests)
    with served("http://127.0.0.1:9") as service:
        status, found = asked()
        assert (status, found["error"].partition(": ")[0]) == (502, "OpenSearch gave no answer")


def test_nothing_is_listed_where_lists_do_not_pass(stub):
    stub.requests.clear()
    with served(stub.url, pass_through="search") as service:
        answered = ask(service.api_url, "GET", "/v1/compare/indexes")
    assert answered.json() == {"opensearch_indexes": [], "left_out": 0}
    assert not any(b"_resolve" in request for request in stub.requests)


def test_the_page_needs_no_key_and_allows_nothing_from_elsewhere(guarded):
    for path in ("/ui", "/ui/app.js", "/ui/style.css", "/ui/icon.svg"):
        answer = ask(guarded.api_url, "GET", path)
        assert answer.status == 200, path
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        again = ask(guarded.api_url, "GET", path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
    assert ask(guarded.api_url, "GET", "/ui/?q=a").headers["location"] == "../ui?q=a"
    assert ask(guarded.api_url, "HEAD", "/ui").body == b""
    for path in ("/ui/nothing.js", "/ui/../compare_api.py", "/ui/%2e%2e/compare_api.py", "/ui/static/app.js"):
        assert ask(guarded.api_url, "GET", path).status in {401, 404}, path


def test_the_page_is_on_the_api_port_alone(service, stub):
    stub.requests.clear()
    assert b"rerank-sidecar" not in ask(service.url, "GET", "/ui").body
    assert len(stub.requests) == 1


def test_a_setting_turns_it_off(stub):
    with served(stub.url, ui=False) as service:
        assert [ask(service.api_url, "GET", path).status for path in ("/ui", "/ui/app.js", "/v1/compare")] == [404] * 3


def test_the_page_is_small_and_has_nothing_inline():
    from sidecar.serving.ui import page_files

    sources = {name: page_files._file(name)[0].decode() for name in (*page_files.NAMES, page_files.INDEX)}
    assert sum(len(source.encode()) for source in sources.values()) < 300_000
    index = sources[page_files.INDEX]
    assert not any(word in index for word in ("<style", "style=", "onclick", "http:", "https:"))
    assert index.count("<script") == index.count('<script type="module" src=') == 1
    for name, source in sources.items():
        assert not any(word in source for word in ("innerHTML", "insertAdjacent", "document.write", "eval(")), name
        assert max(map(len, source.splitlines())) <= 120, name
        assert len(source.splitlines()) <= 300 or name.endswith(".css"), name
