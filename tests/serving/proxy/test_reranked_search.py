"""Searches through the service: what is asked is done, what can't be is OpenSearch's own answer with the reason."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from tests.support.opensearch_errors import cause, too_large
from tests.support.servers.hits import answer as as_http
from tests.support.servers.hits import by_model, opensearch
from tests.support.servers.searches import JSON, body, ids, outcome
from tests.support.servers.served import FAKE, served
from tests.support.servers.stub import Stub


@pytest.fixture(scope="module")
def service(upstream):
    with served(upstream.url, models={"other": "e5-small"}) as running:
        yield running


def test_a_search_that_asks_is_reranked(service, upstream):
    answer = service.search("docs", body(size=10))
    assert (answer.status, outcome(answer)) == (200, ("applied", ""))
    assert ids(answer) == by_model()[:10]
    assert answer.headers["x-from"] == "opensearch"
    assert b'"price":0.10' in answer.body
    assert [stage.split(";")[0] for stage in answer.headers["server-timing"].split(", ")] == [
        "fetch", "score", "fuse", "total",
    ]  # fmt: skip
    sent = json.loads(upstream.requests[-1].partition(b"\r\n\r\n")[2])
    assert sent == {"query": {"match": {"text": "fox"}}, "from": 0, "size": 100}


def test_one_that_does_not_ask_passes_as_it_came(service, upstream):
    plain = json.dumps(body(rerank=False, ext={"other": {"a": 0.10}})).encode()
    answer = service.ask("POST", "/docs/_search?preference=x", plain, JSON)
    assert outcome(answer) == (None, "")
    assert ids(answer) == [str(i) for i in range(10)]
    assert upstream.requests[-1].partition(b"\r\n\r\n")[2] == plain
    assert upstream.requests[-1].startswith(b"POST /docs/_search?preference=x HTTP/1.1")


def test_a_body_taken_out_of_the_url_has_the_version_that_a_client_of_elasticsearch_accepts(service, upstream):
    said = "application/vnd.elasticsearch+json; compatible-with=9"
    source = json.dumps(body(), separators=(",", ":")).replace('"', "%22").replace(" ", "%20")
    target = f"/docs/_search?source={source}&source_content_type=application/json"
    assert outcome(service.ask("GET", target, None, {"accept": said})) == ("applied", "")
    assert f"content-type: {said}\r\n" in upstream.requests[-1].decode().lower()
    assert outcome(service.ask("GET", target)) == ("applied", "")
    assert "content-type: application/json\r\n" in upstream.requests[-1].decode().lower()


def test_pages_are_slices_of_one_list_and_are_asked_of_one_replica(service, upstream):
    whole = ids(service.search("docs", body(size=110)))
    pages = [ids(service.search("docs", body(**{"from": at, "size": 10}))) for at in range(0, 110, 10)]
    assert [hit for page in pages for hit in page] == whole == by_model()[:110]
    targets = {request.split(b"\r\n")[0] for request in upstream.requests[-11:]}
    assert len(targets) == 1
    assert b"preference=" in targets.pop()


def test_a_page_that_was_scored_costs_no_scoring(service):
    assert outcome(service.search("docs", body("fox again sleep 2"))) == ("applied", "")
    started = time.monotonic()
    assert outcome(service.search("docs", body("fox again sleep 2", **{"from": 20}))) == ("applied", "")
    assert time.monotonic() - started < 0.2


def test_took_is_what_the_caller_waited_for(service):
    assert service.search("docs", body("fox sleep 30 once")).json()["took"] >= 30


def test_explain_says_how_each_hit_came_to_its_place(service):
    answer = service.search("docs", body(rerank={"explain": True}, size=2)).json()
    assert answer["ext"]["rerank"] == {
        "status": "applied",
        "reason": "",
        "model": "e5-small",
        "query_text": "fox",
        "window": 100,
        "fusion": "rerank",
    }
    best = by_model()[0]
    assert answer["hits"]["hits"][0]["_rerank"] == {
        "first_stage_rank": int(best) + 1,
        "first_stage_score": 120 - int(best) + 0.5,
        "fields": ["text"],
        "rerank_score": 50.0,
        "relevance": 1.0,
        "calibrated": False,
        "score": 50.0,
        "truncated": False,
    }


def test_explain_works_with_a_filter_path_that_leaves_no_hits(service):
    asked = json.dumps(body(rerank={"explain": True}, size=2)).encode()
    answer = service.ask("POST", "/docs/_search?filter_path=took", asked, JSON)
    assert outcome(answer) == ("applied", "")
    assert [hit["_rerank"]["rerank_score"] for hit in answer.json()["hits"]["hits"]] == [50.0, 49.0]
    assert answer.json()["ext"]["rerank"]["status"] == "applied"


def test_a_models_own_fusion_is_used_and_told_unless_the_search_names_another(upstream):
    with served(upstream.url, (*FAKE, "fused")) as running:
        answer = running.search("docs", body(rerank={"explain": True, "window": 3}, size=3)).json()
        alone = running.search("docs", body(rerank={"explain": True, "window": 3, "fusion": "rerank"}, size=3)).json()
        several = b'{"index":"docs"}\n' + json.dumps(body(rerank={"explain": True, "window": 3})).encode() + b"\n"
        asked = running.ask("POST", "/_msearch", several, {"content-type": "application/x-ndjson"}).json()
    # BM25 gives 120.5, 119.5 and 118.5, the model -50, -13 and 24.
    scores = [(hit["_id"], hit["_rerank"]["score"]) for hit in answer["hits"]["hits"]]
    assert scores == [("2", 0.75), ("1", 0.25 * 0.5 + 0.75 * 0.5), ("0", 0.25)]
    account = answer["ext"]["rerank"]
    assert (account["fusion"], account["fusion_weight"]) == ("linear", 0.75)
    assert ("fusion_weight" in alone["ext"]["rerank"], alone["ext"]["rerank"]["fusion"]) == (False, "rerank")
    assert [hit["_rerank"]["score"] for hit in alone["hits"]["hits"]] == [24.0, -13.0, -50.0]
    assert asked["responses"][0]["ext"]["rerank"]["fusion_weight"] == 0.75


def test_window_fusion_fields_and_model_can_be_asked_for(service):
    assert ids(service.search("docs", body(rerank={"window": 20}, size=25))) == by_model(20)[:25]
    fused = service.search("docs", body(rerank={"fusion": {"method": "rrf"}, "explain": True}, size=1)).json()
    assert fused["ext"]["rerank"]["fusion"] == "rrf"
    nothing = service.search("docs", body(rerank={"document_fields": ["title"]}))
    assert outcome(nothing) == ("skipped", "no candidate has text where the model looks")
    assert outcome(service.search("docs", body(rerank={"model": "other"}))) == ("applied", "")


@pytest.mark.parametrize(
    ("rerank", "complaint"),
    [
        ({"model": "../../etc"}, "there is no model '../../etc' here."),
        ({"window": 0}, "ext.rerank: Expected `int` >= 1 - at `$.window`"),
        ({"windows": 5}, "ext.rerank: Object contains unknown field `windows`"),
        ({"timeout_ms": "soon"}, "ext.rerank: Expected `int | null`, got `str` - at `$.timeout_ms`"),
        ({"fusion": "magic"}, "ext.rerank: "),
        ({"fusion": {"method": "geometric", "normalization": "z_score"}}, "a geometric mean is not defined"),
    ],
)
def test_what_makes_no_sense_is_refused_in_opensearchs_shape(service, rerank, complaint):
    answer = service.search("docs", body(rerank=rerank))
    assert (answer.status, answer.json()["status"]) == (400, 400)
    assert answer.json()["error"]["reason"].startswith(complaint)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"size": 0}, "size is 0"),
        ({"sort": ["price"]}, "the hits are sorted by something else"),
        ({"search_after": [1], "sort": ["price"]}, "search_after pages by sort values"),
    ],
)
def test_what_cant_be_reranked_is_opensearchs_answer_with_the_reason(service, more, reason):
    answer = service.search("docs", body(**more))
    assert (answer.status, answer.headers["x-rerank-status"]) == (200, "skipped")
    assert answer.headers["x-rerank-reason"].startswith(reason)


def test_requests_that_must_not_be_rewritten_pass_with_the_reason(service, upstream):
    made = json.dumps(body()).encode()
    signed = service.ask("POST", "/docs/_search", made, {**JSON, "authorization": "AWS4-HMAC-SHA256 Credential=x"})
    assert outcome(signed)[0] == "skipped"
    assert "signature" in outcome(signed)[1]
    assert upstream.requests[-1].partition(b"\r\n\r\n")[2] == made
    other = service.ask("POST", "/docs/_search", made, {"content-type": "application/cbor"})
    assert outcome(other) == ("skipped", "the body is application/cbor, not JSON")


def test_a_template_that_must_not_be_rewritten_is_not_rendered(service, upstream):
    made = json.dumps({"source": body()}).encode()
    before = len(upstream.requests)
    signed = service.ask("POST", "/docs/_search/template", made, {**JSON, "authorization": "AWS4-HMAC-SHA256 x"})
    assert outcome(signed)[0] == "skipped"
    (sent,) = upstream.requests[before:]
    assert sent.partition(b"\r\n\r\n")[2] == made


def test_a_template_that_is_not_rendered_goes_on_without_our_ext(service, upstream):
    made = json.dumps({"source": body(), "params": {"a": 1}}).encode()
    answer = service.ask("POST", "/docs/_search/template", made, JSON)
    assert outcome(answer) == ("skipped", "OpenSearch does not render its template alone (status 200)")
    sent = json.loads(upstream.requests[-1].partition(b"\r\n\r\n")[2])
    assert sent == {"source": body(rerank=False), "params": {"a": 1}}


def test_compressed_bodies_are_read_within_bounds(service, upstream):
    packed = gzip.compress(json.dumps(body()).encode())
    answer = service.ask("POST", "/docs/_search", packed, {**JSON, "content-encoding": "gzip"})
    assert ids(answer) == by_model()[:10]
    bomb = gzip.compress(b'{"query":"' + b" " * 50_000_000 + b'"}')
    answer = service.ask("POST", "/docs/_search", bomb, {**JSON, "content-encoding": "gzip"})
    assert outcome(answer) == ("skipped", "the body can't be decompressed within its limit")
    assert upstream.requests[-1].partition(b"\r\n\r\n")[2] == bomb
    broken = service.ask("POST", "/docs/_search", b"no gzip", {**JSON, "content-encoding": "gzip"})
    assert outcome(broken)[0] == "skipped"


def test_a_body_beyond_the_limit_passes(upstream):
    long = json.dumps(body("fox " * 500)).encode()
    with served(upstream.url, max_body_bytes=1024) as running:
        answer = running.ask("POST", "/docs/_search", long, JSON)
        assert outcome(answer) == ("skipped", "the body is larger than 1024 bytes")
    assert upstream.requests[-1].partition(b"\r\n\r\n")[2] == long


def test_an_error_of_opensearchs_is_its_own(service):
    answer = service.search("docs", body("broken"))
    assert (answer.status, answer.json()["error"]["root_cause"][0]["type"]) == (400, "parsing_exception")


def test_get_and_body_less_searches(service):
    asked = service.ask("GET", "/docs/_search", json.dumps(body()).encode(), JSON)
    assert ids(asked) == by_model()[:10]
    assert service.ask("GET", "/docs/_search?q=fox").status == 200


def test_several_searches_each_have_their_outcome(service):
    lines = [
        {"index": "docs"},
        body(size=3),
        {},
        body(rerank=False, size=3),
        {},
        body(size=0),
        {},
        body(rerank={"model": "x"}),
    ]
    made = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = service.ask("POST", "/docs/_msearch", made, {"content-type": "application/x-ndjson"})
    first, second, third, fourth = answer.json()["responses"]
    assert [hit["_id"] for hit in first["hits"]["hits"]] == by_model()[:3]
    assert [hit["_id"] for hit in second["hits"]["hits"]] == ["0", "1", "2"]
    assert (first["ext"]["rerank"], "ext" in second) == ({"status": "applied", "reason": ""}, False)
    assert third["ext"]["rerank"]["status"] == "skipped"
    assert (fourth["status"], fourth["error"]["reason"][:17]) == (400, "there is no model")
    assert outcome(answer) == ("partial", "1 applied, 1 skipped")


def test_several_searches_of_which_none_asks_pass_as_they_came(service, upstream):
    made = b'{}\n{"query":{"match_all":{}},"x":0.10}\n'
    assert outcome(service.ask("POST", "/_msearch", made, {"content-type": "application/x-ndjson"})) == (None, "")
    assert upstream.requests[-1].partition(b"\r\n\r\n")[2] == made
    broken = service.ask("POST", "/_msearch", b'{}\n"rerank" no json\n', {"content-type": "application/x-ndjson"})
    assert (broken.status, outcome(broken)) == (400, (None, ""))


def test_rules_rerank_unasked(upstream):
    rules = [{"index": "quiet*", "percent": 0}, {"index": "shadow", "shadow": True}, {"index": "docs*", "window": 20}]
    with served(upstream.url, rules=rules) as running:
        assert ids(running.search("docs", body(rerank=False, size=25))) == by_model(20)[:25]
        left_out = running.search("quiet1", body(rerank=False))
        assert outcome(left_out) == ("skipped", "it is outside the 0 % of searches that rule rule-1 reranks")
        assert left_out.headers["x-rerank-rule"] == "rule-1; arm=control"
        assert running.search("docs", body(rerank=False)).headers["x-rerank-rule"] == "rule-3; arm=treatment"
        assert "x-rerank-rule" not in running.search("docs", body()).headers
        assert outcome(running.search("else", body(rerank=False))) == (None, "")
        assert outcome(running.search("docs,else", body(rerank=False))) == (None, "")
        shadowed = running.search("shadow", body(rerank=False))
        assert (outcome(shadowed), ids(shadowed)) == (("skipped", "the rule only shadows"), [str(i) for i in range(10)])
        assert shadowed.headers["x-rerank-rule"] == "rule-2; arm=shadow"
        assert outcome(running.search("shadow", body())) == ("applied", "")
        deadline = time.monotonic() + 10
        shadowed = b'sidecar_reranks_total{api="shadow",model="e5-small",rule="shadow",status="applied"} 1.0'
        while shadowed not in (metrics := running.ask("GET", "/_sidecar/metrics").body):
            assert time.monotonic() < deadline, metrics
        running.ask("PUT", "/_sidecar/rerank", b'{"enabled":false}', JSON)
        assert outcome(running.search("docs", body())) == ("skipped", "reranking is switched off")
        assert json.loads(upstream.requests[-1].partition(b"\r\n\r\n")[2]) == body(rerank=False)
        several = b"{}\n" + json.dumps(body()).encode() + b"\n"
        off = running.ask("POST", "/docs/_msearch", several, {"content-type": "application/x-ndjson"})
        assert outcome(off) == ("skipped", "reranking is switched off")
        assert off.json()["responses"][0]["ext"]["rerank"]["status"] == "skipped"
        assert b"rerank" not in upstream.requests[-1]
        running.ask("PUT", "/_sidecar/rerank", b'{"enabled":true}', JSON)
        assert outcome(running.search("docs", body())) == ("applied", "")


def test_a_share_of_the_searches_is_the_same_share_on_every_page(upstream):
    with served(upstream.url, rules=[{"index": "*", "percent": 50}]) as running:
        drawn = [outcome(running.search("docs", body(f"fox {i}", rerank=False)))[0] for i in range(60)]
        assert 15 <= drawn.count("applied") <= 45
        again = [outcome(running.search("docs", body(f"fox {i}", False, **{"from": 10})))[0] for i in range(60)]
        assert again == drawn


def narrow(request):
    """Answer as an index does that allows windows of 20 hits."""
    head, _, body = request.partition(b"\r\n\r\n")
    if b'"size":100' not in body:
        return opensearch(request)
    failed = json.dumps({"error": {"root_cause": [cause(too_large(20))], "type": "x"}, "status": 400})
    if b"_msearch" in head:
        return as_http(200, f'{{"took":4,"responses":[{failed}]}}')
    return as_http(400, failed)


def test_the_response_says_which_window_was_used(service):
    answer = service.search("docs", body(size=3))
    assert answer.headers["x-rerank-window"] == "100"
    with Stub(narrow) as upstream, served(upstream.url) as running:
        answer = running.search("docs", body(rerank={"explain": True}, size=3))
        assert (outcome(answer), answer.headers["x-rerank-window"]) == (("applied", ""), "20")
        assert (answer.json()["ext"]["rerank"]["window"], ids(answer)) == (20, by_model(20)[:3])
        several = running.ask("POST", "/docs/_msearch", b"{}\n" + json.dumps(body(size=3)).encode() + b"\n", JSON)
        (one,) = several.json()["responses"]
        assert one["ext"]["rerank"] == {"status": "applied", "reason": "", "window": 20}
        assert [hit["_id"] for hit in one["hits"]["hits"]] == by_model(20)[:3]


def test_what_one_caller_learnt_of_a_cluster_is_told_to_no_other():
    asked = []

    def guarded(request):
        """Show the pipeline to ada alone."""
        target = request.split(b" ")[1]
        if not target.startswith(b"/_search/pipeline/"):
            return opensearch(request)
        asked.append(target)
        if b"ada" in request:
            return as_http(200, '{"secret":{"response_processors":[{"rerank":{}}]}}')
        return as_http(403, '{"error":{"root_cause":[],"type":"security_exception","reason":"no permissions"}}')

    with Stub(guarded) as upstream, served(upstream.url) as running:
        for _ in range(2):
            for account, status in (("Basic eve", "applied"), ("Basic ada", "skipped"), ("Basic bob", "applied")):
                headers = {**JSON, "authorization": account}
                target = "/docs/_search?search_pipeline=secret"
                answer = running.ask("POST", target, json.dumps(body(size=3)).encode(), headers)
                assert (account, outcome(answer)[0]) == (account, status)
    assert len(asked) == 3


def test_the_fields_that_were_read_are_named_and_what_is_odd_about_them(service):
    assert service.search("docs", body(size=3)).headers["x-rerank-fields"] == "text"
    fields = {"title": {"mapping": {"title": {"type": "text"}}}, "story": {"mapping": {"story": {"type": "text"}}}}
    mapping = json.dumps({"docs": {"mappings": fields}})

    def with_a_story(request):
        if b"/_mapping/field/" in request.split(b"\r\n")[0]:
            return as_http(200, mapping)
        found = opensearch(request).partition(b"\r\n\r\n")[2]
        return as_http(200, found.replace(b'"text":"score', b'"story":"score').decode())

    said = "docs has none of the default text fields; read are those of its mapping: story"
    with Stub(with_a_story) as upstream, served(upstream.url) as running:
        for _ in range(2):
            answer = running.search("docs", body(size=3))
            assert (outcome(answer), ids(answer)) == (("applied", ""), by_model()[:3])
            assert (answer.headers["x-rerank-fields"], answer.headers["x-rerank-warning"]) == ("story", said)
        several = running.ask("POST", "/docs/_msearch", b"{}\n" + json.dumps(body(size=3)).encode() + b"\n", JSON)
        (one,) = several.json()["responses"]
        assert one["ext"]["rerank"] == {"status": "applied", "reason": "", "warning": said}
    assert sum(b"/_mapping/field/" in request for request in upstream.requests) == 1


def test_a_list_of_fields_without_end_is_refused(service):
    accepted = service.search("docs", body(rerank={"document_fields": ["text"] * 100}))
    assert outcome(accepted)[0] == "applied"
    refused = service.search("docs", body(rerank={"document_fields": ["text"] * 101}))
    assert refused.status == 400
    assert "ext.rerank: Expected `array` of length <= 100" in refused.json()["error"]["reason"]
