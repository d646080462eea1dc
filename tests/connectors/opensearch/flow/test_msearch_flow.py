"""Several searches at once, without OpenSearch: the lines, the steps, and what becomes of each search."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch import raw_json
from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.driving import proceed
from connectors.opensearch.flow.search_flow import OpenSearchRequest, search_flow
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected

FOX = b'{"query":{"match":{"text":"fox"}},"size":2}'
WIDE = b'{"query":{"match":{"text":"fox"}},"size":7,"from":0}'
HIT = b'{"took":1,"hits":{"hits":[{"_id":"a","_score":1.0,"_source":{"text":"\\ud83d"}}]},"status":200}'
REFUSED = b'{"error":{"type":"x","reason":"too large"},"status":400}'
FORBIDDEN = b'{"error":{"type":"security_exception","reason":"no permissions"},"status":403}'


def started(body, **params):
    def start(search):
        return search_flow(search.body, {}, window=7, fields=PassageFields())

    return msearch_flow.msearch_flow(body, params, start)


def answered(*responses, took=3):
    return b'{"took":%d,"responses":[%s]}' % (took, b",".join(responses))


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (b"{}\n{}\n", [(b"{}", b"{}")]),
        (b'\n{"index":"a"}\n{}\n\n{"size":1}\n', [(b'{"index":"a"}', b"{}"), (b"", b'{"size":1}')]),
        (b'{}\r\n{"a": 0.10}\r\n', [(b"{}\r", b'{"a": 0.10}\r')]),
    ],
)
def test_lines_are_read_in_pairs_and_kept(body, pairs):
    assert [(search.header, search.body.raw) for search in msearch_flow.searches(body)] == pairs


def test_an_empty_header_that_comes_first_is_written_out():
    assert msearch_flow.lines([(b"", b"{}"), (b"", b"{}")]) == b"{}\n{}\n{}\n{}\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "pairs"),
        (b"\n", "pairs"),
        (b"{}\n", "pairs"),
        (b"{}\n{}\n{}\n", "pairs"),
        (b"{}\n{}", "last line has no end"),
        (b"{}\n{}\n" * 1001, "more than 1000 searches"),
    ],
)
def test_what_can_not_be_told_apart_goes_as_it_came(body, reason):
    with pytest.raises(raw_json.Malformed, match=reason):
        msearch_flow.searches(body)
    flow = started(body, filter_path="took")
    assert proceed(flow) == OpenSearchRequest(body, {"filter_path": "took"})
    stages = proceed(flow, b"whatever")
    assert (stages.whole, stages.stages) == (b"whatever", ())
    assert reason in stages.skipped


def test_all_ask_at_once_and_each_gets_its_own_answer():
    body = b'{"index":"a"}\n' + FOX + b'\n{}\n{"size":0}\n{"index":"b"}\n' + FOX + b"\n"
    flow = started(body, typed_keys="true")
    first = proceed(flow)
    assert first == OpenSearchRequest(
        b'{"index":"a"}\n' + WIDE + b'\n{}\n{"size":0}\n{"index":"b"}\n' + WIDE + b"\n", {"typed_keys": "true"}
    )
    # The third is refused its window and asks once more, alone.
    second = proceed(flow, answered(HIT, HIT, REFUSED, took=3))
    assert second == OpenSearchRequest(b'{"index":"b"}\n' + FOX + b"\n", {"typed_keys": "true"})
    stages = proceed(flow, answered(HIT, took=4))
    skipped = [stage.skipped for stage in stages.stages]
    assert skipped == [
        None,
        "size is 0: there are no hits to rerank",
        "OpenSearch refused the window: OpenSearch answered 400: too large",
    ]
    assert [stage.native.raw for stage in stages.stages] == [HIT, HIT, HIT]
    assert msearch_flow.joined(stages, [b"1", b"2"]) == b'{"took":7,"responses":[1,2]}'


def test_a_forbidden_search_fails_alone():
    flow = started((b"{}\n" + FOX + b"\n") * 2)
    proceed(flow)
    stages = proceed(flow, answered(FORBIDDEN, HIT))
    assert isinstance(stages.stages[0], EngineRejected)
    assert (stages.stages[0].status, stages.stages[0].body) == (403, FORBIDDEN)
    assert stages.stages[1].skipped is None


def test_a_request_that_is_refused_whole_goes_as_it_came_without_our_ext():
    with_ext = FOX[:-1] + b',"ext":{"rerank":{"query_context":{"query_text":"x"}}}}'
    flow = started(b"{}\n" + with_ext + b"\n", filter_path="took")
    proceed(flow)
    refused = EngineRejected("OpenSearch answered 400: odd", status=400)
    assert proceed(flow, refused) == OpenSearchRequest(b"{}\n" + FOX + b"\n", {"filter_path": "took"})
    stages = proceed(flow, b"own")
    assert (stages.whole, stages.skipped) == (b"own", "OpenSearch refused the windows: OpenSearch answered 400: odd")


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_refusal_that_any_request_would_meet_is_final(status):
    flow = started(b"{}\n" + FOX + b"\n")
    proceed(flow)
    with pytest.raises(EngineRejected):
        proceed(flow, EngineRejected("no", status=status))


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", answered(), answered(HIT, HIT), b"\xff"])
def test_an_answer_to_something_else_is_not_reranked(answer):
    body = b"{}\n" + FOX + b"\n"
    flow = started(body)
    proceed(flow)
    assert proceed(flow, answer) == OpenSearchRequest(body, {})
    assert json.loads(answered(HIT)) == json.loads(proceed(flow, answered(HIT)).whole)
