"""Which pipeline a search goes through, what is asked about it, and how long that is remembered."""

from __future__ import annotations

import json
from functools import partial

import pytest

from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.driving import drive
from connectors.opensearch.flow.search_flow import search_flow
from connectors.opensearch.flow.search_pipelines import REMEMBERED, Pipelines
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected
from sidecar.core.reasons import Reason, Why

RERANKING = {"response_processors": [{"truncate_hits": {}}, {"rerank": {"by_field": {"target_field": "stars"}}}]}
OTHER = {"response_processors": [{"truncate_hits": {}}], "request_processors": [{"rerank": "of no such kind"}]}
PIPELINES = {"rr": RERANKING, "other": OTHER}
DEFAULTS = {"docs": "rr", "alike": "rr", "unlike": "other", "none": "_none"}
SETTINGS = "/_settings/index.search.default_pipeline?ignore_unavailable=true&allow_no_indices=true"


class Cluster:
    """Answers like OpenSearch 2.19.1, and keeps what it was asked."""

    def __init__(self):
        self.asked, self.refused = [], None

    def __call__(self, request):
        self.asked.append(request.path or request.body)
        if self.refused:
            raise EngineRejected("no", status=self.refused)
        if request.path.startswith("/_search/pipeline/"):
            name = request.path.removeprefix("/_search/pipeline/")
            if name not in PIPELINES:
                raise EngineRejected("{}", status=404)
            return json.dumps({name: PIPELINES[name]}).encode()
        names = request.path.removesuffix(SETTINGS).removeprefix("/").split(",")
        found = {
            n: {"settings": {"index": {"search": {"default_pipeline": DEFAULTS[n]}}}} for n in names if n in DEFAULTS
        }
        return json.dumps(found).encode()


@pytest.fixture
def cluster():
    return Cluster()


def overruled(cluster, index="docs", body=b"{}", pipelines=None, **params):
    return drive((pipelines or Pipelines()).overrule(index, SearchBody(body), params), cluster)


def reason(name):
    return f"the search pipeline {name} reranks already; ask with search_pipeline=_none to have the sidecar do it"


@pytest.mark.parametrize(
    ("index", "body", "params", "expected", "asked"),
    [
        ("docs", b"", {}, "'rr'", [f"/docs{SETTINGS}", "/_search/pipeline/rr"]),
        ("docs,alike,bare", b"{}", {}, "'rr'", [f"/docs,alike,bare{SETTINGS}", "/_search/pipeline/rr"]),
        ("docs,unlike", b"{}", {}, None, [f"/docs,unlike{SETTINGS}"]),
        ("unlike", b"{}", {}, None, [f"/unlike{SETTINGS}", "/_search/pipeline/other"]),
        ("none", b"{}", {}, None, [f"/none{SETTINGS}"]),
        ("<a-{now/d}>", b"{}", {}, None, [f"/%3Ca-%7Bnow%2Fd%7D%3E{SETTINGS}"]),
        (None, b"{}", {}, None, []),
        ("docs", b"{}", {"search_pipeline": "_none"}, None, []),
        ("docs", b'{"search_pipeline":"_none"}', {}, None, []),
        ("docs", b'{"search_pipeline":"rr"}', {"search_pipeline": "_none"}, None, []),
        ("bare", b'{"search_pipeline":"rr"}', {}, "'rr'", ["/_search/pipeline/rr"]),
        ("bare", b"{}", {"search_pipeline": "rr"}, "'rr'", ["/_search/pipeline/rr"]),
        ("docs", b'{"search_pipeline":"rr"}', {"search_pipeline": "other"}, None, ["/_search/pipeline/other"]),
        ("docs", b"{}", {"search_pipeline": "gone"}, None, ["/_search/pipeline/gone"]),
        ("docs", b"{}", {"search_pipeline": "../a?b"}, None, ["/_search/pipeline/..%2Fa%3Fb"]),
        ("docs", json.dumps({"search_pipeline": RERANKING}).encode(), {}, "of the body", []),
        ("docs", json.dumps({"search_pipeline": OTHER}).encode(), {}, None, []),
        ("docs", b'{"search_pipeline":7}', {}, None, []),
        ("docs", b'{"search_pipeline":{"response_processors":7}}', {}, None, []),
        ("docs", b"{", {}, None, []),
    ],
)
def test_a_search_that_a_pipeline_reranks_goes_as_it_came(cluster, index, body, params, expected, asked):
    assert overruled(cluster, index, body, **params) == (None if expected is None else reason(expected))
    assert cluster.asked == asked


def test_an_answer_is_remembered_for_a_while(cluster):
    now = 1000.0
    pipelines = Pipelines(lambda: now)
    for moment, requests in ((1000.0, 2), (1000.0 + REMEMBERED - 1, 2), (1000.0 + REMEMBERED, 4)):
        now = moment
        assert overruled(cluster, pipelines=pipelines) == reason("'rr'")
        assert len(cluster.asked) == requests


@pytest.mark.parametrize(("status", "remembered"), [(403, True), (404, True), (503, False), (401, False)])
def test_what_may_not_be_seen_is_taken_for_no_pipeline_that_reranks(cluster, status, remembered):
    pipelines = Pipelines(lambda: 0.0)
    cluster.refused = status
    assert overruled(cluster, pipelines=pipelines) is None
    cluster.refused = None
    assert overruled(cluster, pipelines=pipelines) == (None if remembered else reason("'rr'"))


HIT = b'{"took":1,"hits":{"hits":[{"_id":"a","_score":1.0,"_source":{"text":"fox"}}]}}'
EXT = b'"ext":{"rerank":{"query_context":{"query_text":"fox"}}}'
NULL_POINTER = (
    b'{"error":{"root_cause":[{"type":"null_pointer_exception","reason":"Cannot invoke \\"org.opensearch.neuralsearch.'
    b'query.ext.RerankSearchExtBuilder.getParams()\\" because it is null"}],"type":"null_pointer_exception"},'
    b'"status":500}'
)
LACKS_EXT = EngineRejected("null", status=500, body=NULL_POINTER)


def driven(script, body, overrule=None, declined=None):
    """Drive a search flow, each request answered from the script; return its result and what was sent."""
    sent, answers = [], iter(script)

    def send(request):
        sent.append(request.body)
        answer = next(answers)
        if isinstance(answer, EngineRejected):
            raise answer
        return answer

    fields = PassageFields()
    flow = search_flow(SearchBody(body), {}, window=7, fields=fields, overrule=overrule, declined=declined)
    return drive(flow, send), sent


def test_a_pipeline_that_turns_out_to_need_the_ext_gets_it():
    query = b'{"query":{"match":{"text":"fox"}},'
    stage, sent = driven([LACKS_EXT, HIT], query + EXT + b"}")
    assert stage.skipped == "its search pipeline takes ext.rerank for itself"
    assert sent == [query + b'"from":0,"size":10}', query + EXT + b"}"]
    stage, sent = driven([LACKS_EXT, HIT], b'{"size":0,' + EXT + b"}")
    assert stage.skipped == "its search pipeline takes ext.rerank for itself"
    assert sent == [b'{"size":0}', b'{"size":0,' + EXT + b"}"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([LACKS_EXT, EngineRejected("its own fault", status=400)], "its own fault"),
        ([LACKS_EXT, EngineRejected("busy", status=503)], "busy"),
        ([EngineRejected("parsing", status=400), EngineRejected("its own fault", status=400)], "its own fault"),
        ([EngineRejected("broken", status=500), EngineRejected("its own fault", status=500)], "its own fault"),
        ([EngineRejected("slow down", status=429)], "slow down"),
    ],
)
def test_a_search_that_fails_either_way_fails_by_its_own_fault(script, message):
    with pytest.raises(EngineRejected, match=message):
        driven(script, b'{"query":{"match":{"text":"fox"}},' + EXT + b"}")


def test_a_search_that_is_declined_goes_without_the_ext_unless_a_pipeline_needs_it():
    off = Why(Reason.SWITCHED_OFF, "off")
    stage, sent = driven([HIT], b'{"size":3,' + EXT + b"}", declined=off)
    assert (stage.skipped, stage.skipped.reason, sent) == ("off", "switched_off", [b'{"size":3}'])
    stage, sent = driven([LACKS_EXT, HIT], b'{"size":3,' + EXT + b"}", declined=off)
    assert stage.skipped == "its search pipeline takes ext.rerank for itself"
    assert sent == [b'{"size":3}', b'{"size":3,' + EXT + b"}"]


def test_searches_of_one_index_look_a_pipeline_up_once(cluster):
    pipelines = Pipelines(lambda: 0.0)

    def start(search):
        overrule = partial(pipelines.overrule, msearch_flow.index_in(search.header))
        return search_flow(search.body, {}, window=7, fields=PassageFields(), overrule=overrule)

    line = b'{"query":{"match":{"text":"fox"}}}\n'
    lines = [b'{"index":"docs"}\n', line, b'{"index":["docs"]}\n', line, b'{"index":["unlike","bare"]}\n', line]

    def send(request):
        if request.path:
            return cluster(request)
        cluster.asked.append(request.body)
        return b'{"took":1,"responses":[%s]}' % b",".join([HIT] * 3)

    stages = drive(msearch_flow.msearch_flow(b"".join(lines), {}, start), send).stages
    assert [stage.skipped for stage in stages] == [reason("'rr'"), reason("'rr'"), None]
    assert [request for request in cluster.asked if isinstance(request, str)] == [
        f"/docs{SETTINGS}",
        "/_search/pipeline/rr",
        f"/unlike,bare{SETTINGS}",
        "/_search/pipeline/other",
    ]
