"""Traces: which spans a request has, whose children they are, what they say, and what they never say."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.servers.chat_stub import chat_stub
from tests.support.servers.remote_stub import remote_stub
from tests.support.servers.searches import JSON, body, outcome
from tests.support.servers.served import ask, served
from tests.support.servers.traced import CLIENT, TRACE, TRACEPARENT, TracesInMemory, traceparent_of

SEARCH = "POST /{index}/_search"
SCORING = ["queue", "tokenise", "device"]
SECRET = "c2VjcmV0LW9mLWEtY2FsbGVy"


def sent_header(request, name):
    found = re.search(rb"(?im)^%s: (.*?)\r$" % name.encode(), request.partition(b"\r\n\r\n")[0] + b"\r\n")
    return None if found is None else found[1].decode()


def names(tree):
    return [tree[0], *(name for one in tree[1] for name in names(one))] if isinstance(tree, tuple) else [tree]


@pytest.fixture(scope="module")
def memory():
    return TracesInMemory()


@pytest.fixture(scope="module")
def service(upstream, memory):
    with served(upstream.url, traced_by=memory.traces, score_cache=0) as running:
        running.search("docs", body())  # the first search of an index also asks for its settings
        yield running


@pytest.fixture(autouse=True)
def _none_left(memory, service):
    memory.clear()


def test_a_search_has_a_span_for_each_stage(service, memory):
    assert outcome(service.search("docs", body())) == ("applied", "")
    assert memory.tree() == (SEARCH, [SEARCH, ("rerank", [("score", SCORING), "fuse"])])


def test_the_clients_span_is_the_parent_and_opensearch_gets_the_trace(service, memory, upstream):
    service.search("docs", body(), traceparent=TRACEPARENT, tracestate="vendor=1")
    server, client = memory.one(kind="SERVER"), memory.one(SEARCH, "CLIENT")
    assert (server.name, client.name) == (SEARCH, SEARCH)
    assert (f"{server.parent.trace_id:032x}", f"{server.parent.span_id:016x}") == (TRACE, CLIENT)
    assert client.parent.span_id == server.context.span_id
    request = upstream.requests[-1]
    assert sent_header(request, "traceparent") == traceparent_of(client)
    assert sent_header(request, "tracestate") == "vendor=1"


def test_spans_say_what_an_operator_asks(service, memory, upstream):
    service.search("docs", body(size=10), authorization=f"Basic {SECRET}", **{"user-agent": "tests"})
    server_port, upstream_port = (int(url.rpartition(":")[2]) for url in (service.url, upstream.url))
    assert memory.one(kind="SERVER").attributes == {
        "http.request.method": "POST", "http.route": "/{index}/_search", "http.response.status_code": 200,
        "url.path": "/docs/_search", "url.scheme": "http", "user_agent.original": "tests",
        "server.address": "127.0.0.1", "server.port": server_port, "client.address": "127.0.0.1",
        "rerank.status": "applied", "rerank.model": "e5-small", "rerank.window": 100, "rerank.scored": 100,
    }  # fmt: skip
    assert memory.one(SEARCH, "CLIENT").attributes == {
        "http.request.method": "POST", "http.response.status_code": 200, "server.address": "127.0.0.1",
        "server.port": upstream_port, "url.full": f"{upstream.url}/docs/_search",
    }  # fmt: skip
    assert memory.one("rerank").attributes == {
        "rerank.status": "applied", "rerank.model": "e5-small", "rerank.candidates": 100, "rerank.scored": 100,
    }  # fmt: skip
    assert memory.one("device").attributes["rerank.batches"] >= 1


def test_stages_lie_within_the_request(service, memory):
    service.search("docs", body("fox sleep 1"))
    server, queue, device = memory.one(kind="SERVER"), memory.one("queue"), memory.one("device")
    millisecond = 1_000_000
    assert server.start_time <= queue.start_time + millisecond
    assert device.end_time <= server.end_time + millisecond
    # 100 passages that sleep for a millisecond each; when a batch ended is known by when its report came
    assert 90 * millisecond <= device.end_time - device.start_time
    assert abs(queue.end_time - device.start_time) <= millisecond


def test_no_span_holds_a_query_or_a_credential(service, memory):
    secret = {"authorization": f"Basic {SECRET}", "cookie": "session=marmalade"}
    service.search("docs", body("marmalade"), **secret)
    service.ask("GET", "/docs/_search?q=marmalade", None, secret)
    service.search("docs", body("broken marmalade"), **secret)
    ask(service.api_url, "POST", "/v1/rerank", json.dumps({"query": "marmalade", "documents": ["marmalade"]}).encode())
    told = " ".join(f"{span.name} {dict(span.attributes)} {span.status.description}" for span in memory.spans())
    assert SEARCH in told
    assert "/v1/rerank" in told
    assert [word for word in ("marmalade", SECRET) if word in told] == []


def test_a_setting_lets_queries_into_spans(upstream):
    memory = TracesInMemory(queries=True)
    with served(upstream.url, traced_by=memory.traces) as running:
        running.search("docs", body("marmalade"))
    assert memory.one("rerank").attributes["rerank.query"] == "marmalade"


def test_a_search_that_is_not_reranked_says_why(service, memory):
    service.search("docs", body(sort=[{"price": "asc"}]))
    server = memory.one(kind="SERVER")
    assert server.attributes["rerank.status"] == "skipped"
    assert "sort" in server.attributes["rerank.reason"]


def test_words_of_opensearch_that_may_hold_the_query_are_no_reason(service, memory):
    service.search("docs", body("broken"))
    server = memory.one(kind="SERVER")
    assert server.attributes["rerank.reason"] == "search_refused"
    assert server.status.status_code.name == "UNSET", "an error of the client is none of the server's"
    clients = [span for span in memory.spans() if span.kind.name == "CLIENT"]
    assert {(one.attributes["error.type"], one.status.status_code.name) for one in clients} == {("400", "ERROR")}


def test_each_search_of_several_has_its_span(service, memory):
    lines = [{}, body(), {}, body("other fox"), {}, body(rerank=False)]
    service.ask("POST", "/docs/_msearch", b"".join(json.dumps(line).encode() + b"\n" for line in lines), JSON)
    assert names(memory.tree()).count("rerank") == 2


def test_a_request_that_passes_through_has_two_spans(service, memory, upstream):
    service.ask("GET", "/_cat/indices", headers={"traceparent": TRACEPARENT})
    assert memory.tree() == ("GET /_cat/{any}", ["GET /_cat/{any}"])
    memory.clear()
    service.ask("PUT", "/docs/_doc/7", b"{}", JSON)
    assert memory.tree() == ("PUT", ["PUT"]), "a path that is not in the table may be anything"


@pytest.mark.parametrize("path", ["/_sidecar/health/ready", "/_sidecar/metrics"])
def test_probes_have_none(service, memory, path):
    service.ask("GET", path)
    ask(service.api_url, "GET", "/health")
    service.search("docs", body())
    assert memory.one(kind="SERVER").name == SEARCH


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "00-zz-zz-01"},
        {"traceparent": "x" * 5000},
        {"traceparent": f"00-{'0' * 32}-{CLIENT}-01"},
        {"traceparent": "\xff\xfe", "tracestate": "\xff=\xff", "baggage": "a" * 7000},
        {"tracestate": "vendor=1"},
    ],
)
def test_a_header_that_names_no_trace_begins_a_new_one(service, memory, upstream, headers):
    answer = service.search("docs", body(), **headers)
    assert (answer.status, outcome(answer)) == (200, ("applied", ""))
    server = memory.one(kind="SERVER")
    assert server.parent is None
    assert sent_header(upstream.requests[-1], "traceparent").split("-")[1] == f"{server.context.trace_id:032x}"
    assert sent_header(upstream.requests[-1], "tracestate") is None


def test_a_client_that_does_not_sample_is_followed(service, memory, upstream):
    service.search("docs", body(), traceparent=TRACEPARENT.removesuffix("01") + "00")
    assert memory.spans() == ()
    assert sent_header(upstream.requests[-1], "traceparent").startswith(f"00-{TRACE}-")
    assert sent_header(upstream.requests[-1], "traceparent").endswith("-00")


def test_a_signed_request_keeps_its_headers(service, upstream):
    signed = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;traceparent, Signature=c"
    service.search("docs", body(), authorization=signed, traceparent=TRACEPARENT)
    assert sent_header(upstream.requests[-1], "traceparent") == TRACEPARENT


def test_a_node_that_is_gone_is_a_failed_span():
    memory = TracesInMemory()
    with served("http://127.0.0.1:9", traced_by=memory.traces) as running:
        assert running.search("docs", body()).status == 502
    client, server = memory.one(kind="CLIENT"), memory.one(kind="SERVER")
    assert client.status.status_code.name == "ERROR"
    assert client.attributes["error.type"].startswith("Client")
    assert (server.attributes["error.type"], server.status.status_code.name) == ("502", "ERROR")


def test_several_processes_report_to_one_trace(upstream):
    memory = TracesInMemory()
    with served(upstream.url, traced_by=memory.traces, devices="cpu,cpu") as running:
        assert outcome(running.search("docs", body("fox sleep 1"))) == ("applied", "")
        (score,) = [one for one in memory.tree()[1][-1][1] if one[0] == "score"]
    assert sorted(score[1]) == sorted(SCORING), "both processes together, with the times of both"


def test_a_remote_scorer_gets_the_trace_and_no_baggage(upstream):
    memory = TracesInMemory()
    with remote_stub("vllm") as server, served(upstream.url, traced_by=memory.traces, model=server.url) as running:
        answer = running.search("docs", body(), traceparent=TRACEPARENT, baggage="user=17")
        assert outcome(answer) == ("applied", "")
        (path, headers, _), *_ = server.asked
    asked = memory.one(f"POST {path}", "CLIENT")
    assert headers["traceparent"] == traceparent_of(asked)
    assert "baggage" not in headers
    assert sent_header(upstream.requests[-1], "baggage") == "user=17"
    assert asked.parent.span_id == memory.one("score").context.span_id


def test_stage_two_and_its_generator_have_spans(upstream):
    memory = TracesInMemory()
    with chat_stub() as generator:
        options = {"listwise_model": generator.url, "listwise_depth": 10, "listwise_window": 10, "listwise_step": 5}
        with served(upstream.url, traced_by=memory.traces, **options) as running:
            running.search("docs", body())
        (_, headers, _), *_ = generator.asked
    stage, asked = memory.one("listwise"), memory.one("POST /chat/completions", "CLIENT")
    assert stage.attributes == {"rerank.generator": "listwise", "rerank.depth": 10}
    assert asked.parent.span_id == stage.context.span_id
    assert stage.parent.span_id == memory.one("rerank").context.span_id
    assert headers["traceparent"] == traceparent_of(asked)


def test_a_request_to_the_rerank_api_has_spans(service, memory):
    asked = json.dumps({"query": "fox", "documents": ["one fox", "two"]}).encode()
    assert ask(service.api_url, "POST", "/v1/rerank", asked, {"traceparent": TRACEPARENT, **JSON}).status == 200
    server = memory.one(kind="SERVER")
    assert f"{server.parent.span_id:016x}" == CLIENT
    assert memory.one("rerank").attributes == {
        "rerank.model": "e5-small", "rerank.candidates": 2, "rerank.scored": 2, "rerank.status": "applied",
    }  # fmt: skip
    assert memory.tree() == ("POST /v1/rerank", [("rerank", [("score", SCORING)])])


def test_each_request_of_a_batch_has_its_span(service, memory):
    asked = {"requests": [{"query": "fox", "documents": ["one fox"]}, {"query": "hen", "documents": []}]}
    assert ask(service.api_url, "POST", "/v1/rerank/batch", json.dumps(asked).encode(), JSON).status == 200
    (root, each) = memory.tree()
    assert (root, [names(one)[0] for one in each]) == ("POST /v1/rerank/batch", ["rerank", "rerank"])


def test_a_refused_request_to_the_rerank_api_says_why(service, memory):
    assert ask(service.api_url, "POST", "/v1/rerank", b"{", JSON).status == 400
    server = memory.one(kind="SERVER")
    assert server.attributes["rerank.reason"] == "not_json"


def test_a_shadow_is_a_part_of_its_search(upstream):
    memory, rules = TracesInMemory(), [{"index": "docs", "shadow": True}]
    with served(upstream.url, traced_by=memory.traces, rules=rules) as running:
        running.search("docs", body(rerank=False))
    shadow = memory.one("shadow")
    assert shadow.parent.span_id == memory.one(kind="SERVER").context.span_id
    assert memory.one("rerank").parent.span_id == shadow.context.span_id


def test_without_traces_a_callers_trace_passes_as_it_came(upstream):
    with served(upstream.url) as running:
        running.search("docs", body(), traceparent=TRACEPARENT, tracestate="vendor=1")
    assert sent_header(upstream.requests[-1], "traceparent") == TRACEPARENT
    assert sent_header(upstream.requests[-1], "tracestate") == "vendor=1"


def test_every_try_at_a_node_has_its_span(upstream):
    memory = TracesInMemory()
    with served(f"http://127.0.0.1:9,{upstream.url}", traced_by=memory.traces) as running:
        for _ in range(2):  # the nodes take turns
            assert running.search("docs", body()).status == 200
    tries = [span for span in memory.spans() if span.kind.name == "CLIENT"]
    assert {span.status.status_code.name for span in tries} == {"UNSET", "ERROR"}
