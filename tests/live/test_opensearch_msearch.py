"""`_msearch` against a real OpenSearch: each search as if it came alone, in OpenSearch's own shape."""

from __future__ import annotations

import json
import re

import pytest
from opensearchpy import RequestError

from connectors.opensearch.requests import MultiSearchRequest
from sidecar.core.errors import EngineRejected
from tests.support.live.foxes import QUERY, ids

pytestmark = pytest.mark.live

BODIES = [
    {"query": QUERY, "size": 3},
    {"query": QUERY, "size": 0, "aggs": {"tags": {"terms": {"field": "tag"}}}},
    {"query": QUERY, "from": 45, "size": 10, "highlight": {"fields": {"text": {}}}},
    {"query": {"match_all": {}}, "sort": ["docno"], "size": 2},
    {"query": QUERY, "ext": {"rerank": {"query_context": {"query_text": "which fox"}}}, "_source": False},
]


def took_cut(raw):
    return re.sub(rb'"took":\d+', b"", raw)


def test_each_search_is_answered_as_if_it_came_alone(reranking, index):
    lines = [line for body in BODIES for line in ({"index": index, "preference": "_local"}, body)]
    answer = reranking.rerank_all(MultiSearchRequest(body=lines, window=50))
    assert answer.skipped is None
    assert [search.skipped is None for search in answer.searches] == [True, False, True, False, True]
    for body, ours in zip(BODIES, answer.searches, strict=True):
        alone = reranking.search_raw(index=index, body=body)
        assert took_cut(ours.body) == took_cut(alone[:-1] + b',"status":200}'), body
    whole = json.loads(answer.body)
    assert list(whole) == ["took", "responses"]
    assert [response["status"] for response in whole["responses"]] == [200] * 5


def test_bytes_text_and_lists_are_taken_and_the_index_of_the_url_is_the_default(reranking, index):
    expected = ids(reranking.search(index=index, body=BODIES[0]))
    line = json.dumps(BODIES[0])
    for body in ([{}, BODIES[0]], ["{}", line], "{}\n" + line, ("{}\n" + line + "\n").encode()):
        assert ids(reranking.msearch(index=[index], body=body)["responses"][0]) == expected


def test_one_that_fails_fails_alone(reranking, client, index):
    lines = [{"index": "nowhere"}, BODIES[0], {"index": index}, BODIES[0], {}, {"query": {"match": {"docno": "fox"}}}]
    ours = reranking.msearch(index=index, body=lines)
    theirs = client.msearch(index=index, body=lines)
    assert [response["status"] for response in ours["responses"]] == [404, 200, 400]
    assert [ours["responses"][i] for i in (0, 2)] == [theirs["responses"][i] for i in (0, 2)]
    assert ids(ours["responses"][1]) == ids(reranking.search(index=index, body=BODIES[0]))


def test_a_window_that_one_index_refuses_costs_the_others_nothing(reranking, client, index):
    client.indices.create(index="narrow", body={"settings": {"index.max_result_window": 20}})
    client.index(index="narrow", body={"text": "fox"}, refresh=True)
    try:
        answer = reranking.msearch(body=[{"index": "narrow"}, BODIES[0], {"index": index}, BODIES[0]])
    finally:
        client.indices.delete(index="narrow")
    assert [response["status"] for response in answer["responses"]] == [200, 200]
    assert ids(answer["responses"][1]) == ids(reranking.search(index=index, body=BODIES[0]))


@pytest.mark.parametrize(
    "params",
    [
        {"typed_keys": True},
        {"rest_total_hits_as_int": True},
        {"max_concurrent_searches": 1},
        {"search_type": "dfs_query_then_fetch"},
        {"pretty": True},
    ],
)
def test_what_the_url_says_is_for_all(reranking, client, index, params):
    lines = [{}, {**BODIES[1], "size": 3, "query": {"match": {"text": "nothinglikeit"}}}]
    ours, theirs = (
        reranking.msearch(index=index, body=lines, **params),
        client.msearch(index=index, body=lines, **params),
    )
    assert ours["responses"][0].pop("took") >= 0
    assert theirs["responses"][0].pop("took") >= 0
    assert ours["responses"] == theirs["responses"]


@pytest.mark.parametrize(
    "paths", ["responses.hits.hits._id", "took", "-**._source,-took,-**.took", "responses.error.type"]
)
def test_a_filter_path_is_for_the_whole_answer(reranking, client, index, paths):
    lines = [
        {},
        {"query": {"term": {"docno": 7}}},
        {"index": "nowhere"},
        BODIES[0],
        {},
        {"query": {"match": {"text": "y"}}},
    ]
    ours = reranking.msearch_raw(index=index, body=lines, filter_path=paths)
    theirs = client.msearch(index=index, body=lines, filter_path=paths)
    assert took_cut(ours) == took_cut(json.dumps(theirs, separators=(",", ":")).encode())


@pytest.mark.parametrize("body", ["{}", "{}\n{", "\n", '{"foo":1}\n{}\n', '{}\n{"size":"x"}\n'])
def test_what_opensearch_refuses_is_refused_in_its_words(reranking, client, index, body):
    with pytest.raises(RequestError) as theirs:
        client.msearch(index=index, body=body)
    with pytest.raises(EngineRejected) as ours:
        reranking.msearch(index=index, body=body)
    assert ours.value.status == theirs.value.status_code
    assert json.loads(ours.value.body) == theirs.value.info


def test_lines_that_are_no_pairs_are_answered_as_ever(reranking, client, index):
    lines = "{}\n{}\n{}\n"
    ours, theirs = reranking.msearch(index=index, body=lines), client.msearch(index=index, body=lines)
    assert [ids(response) for response in ours["responses"]] == [ids(response) for response in theirs["responses"]]
