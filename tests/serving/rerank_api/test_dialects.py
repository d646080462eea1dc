"""Each dialect, byte for byte as its vendor documents it: what goes in, and what comes out."""

from __future__ import annotations

import re
from math import exp

import pytest

from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import RankedDocuments, Scored
from sidecar.serving.rerank_api.endpoints import ENDPOINTS

QUERY = "q"
# The scripted scorer scores by these numbers.
TEXTS = ["score 0", "score 2", "score -1"]
P0, P2, P1 = 0.5, 0.880797078, 0.268941421
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# The scripted scorer counts words: one of the query and two of a text, three times.
TOKENS = {"prompt_tokens": 9, "total_tokens": 9}


def test_the_expected_numbers_are_sigmoids():
    assert [float(f"{1 / (1 + exp(-x)):.9g}") for x in (0, 2, -1)] == [P0, P2, P1]


def without_id(answer):
    if isinstance(answer, dict) and "id" in answer:
        assert UUID.search(answer["id"])
        return {key: value for key, value in answer.items() if key not in {"id", "created"}}
    return answer


def meta(version, tokens=9, **more):
    tokens = {"input_tokens": tokens, "output_tokens": 0}
    return {"api_version": {"version": version}, "billed_units": {"search_units": 1}, "tokens": tokens, **more}


ranked = [{"index": 1, "relevance_score": P2}, {"index": 0, "relevance_score": P0}, {"index": 2, "relevance_score": P1}]
with_text = [{**one, "document": {"text": TEXTS[one["index"]]}} for one in ranked]
rerank = {"query": QUERY, "documents": TEXTS}

CASES = {
    "cohere v2": ("/cohere/v2/rerank", rerank, {"results": ranked, "meta": meta("2", warnings=[])}),
    "cohere v2, top_n": (
        "/cohere/v2/rerank",
        rerank | {"top_n": 1},
        {"results": ranked[:1], "meta": meta("2", warnings=[])},
    ),
    "cohere v2, more than there is": (
        "/cohere/v2/rerank",
        rerank | {"top_n": 99, "priority": 0},
        {"results": ranked, "meta": meta("2", warnings=[])},
    ),
    "cohere v2, a limit above the model's": (
        "/cohere/v2/rerank",
        rerank | {"max_tokens_per_doc": 512, "top_n": 1},
        {"results": ranked[:1], "meta": meta("2", warnings=[])},
    ),
    "cohere v1": ("/cohere/v1/rerank", rerank, {"results": ranked, "meta": meta("1")}),
    "cohere v1, documents": (
        "/cohere/v1/rerank",
        rerank | {"return_documents": True},
        {"results": with_text, "meta": meta("1")},
    ),
    "cohere v1, objects": (
        "/cohere/v1/rerank",
        {
            "query": QUERY,
            "documents": [{"text": "score 1", "id": 7}, {"text": "score 2"}],
            "return_documents": True,
            "top_n": 2,
        },
        {
            "results": [
                {"index": 1, "relevance_score": P2, "document": {"text": "score 2"}},
                {"index": 0, "relevance_score": 0.731058579, "document": {"text": "score 1", "id": 7}},
            ],
            "meta": meta("1", tokens=6),
        },
    ),
    "cohere v1, rank_fields": (
        "/cohere/v1/rerank",
        {
            "query": QUERY,
            "documents": [{"text": "score 5", "note": "score 0"}, {"note": "score 2"}],
            "rank_fields": ["note"],
        },
        {"results": [ranked[0], ranked[1]], "meta": meta("1", tokens=6)},
    ),
    "jina": ("/jina/v1/rerank", rerank, {"model": "m", "usage": TOKENS, "results": with_text}),
    "jina, objects": (
        "/jina/v1/rerank",
        {"model": "rerank-v3.5", "query": {"text": QUERY}, "documents": [{"text": "score 0"}, "score 2"], "top_n": 1},
        {
            "model": "rerank-v3.5",
            "usage": {"prompt_tokens": 6, "total_tokens": 6},
            "results": [{"index": 1, "document": {"text": "score 2"}, "relevance_score": P2}],
        },
    ),
    "jina, bare": (
        "/jina/v1/rerank",
        rerank | {"return_documents": False},
        {"model": "m", "usage": TOKENS, "results": ranked},
    ),
    "tei": (
        "/tei/rerank",
        {"query": QUERY, "texts": TEXTS},
        [{"index": 1, "score": P2}, {"index": 0, "score": P0}, {"index": 2, "score": P1}],
    ),
    "tei, raw with texts": (
        "/tei/rerank",
        {"query": QUERY, "texts": TEXTS, "raw_scores": True, "return_text": True, "truncate": True},
        [
            {"index": 1, "text": "score 2", "score": 2.0},
            {"index": 0, "text": "score 0", "score": 0.0},
            {"index": 2, "text": "score -1", "score": -1.0},
        ],
    ),
    "vllm": ("/vllm/rerank", rerank, {"model": "m", "usage": TOKENS, "results": with_text}),
    "vllm, 0 is all": ("/vllm/v1/rerank", rerank | {"top_n": 0}, {"model": "m", "usage": TOKENS, "results": with_text}),
    "vllm, raw": (
        "/vllm/v2/rerank",
        rerank | {"top_n": 1, "use_activation": False, "truncate_prompt_tokens": 256},
        {
            "model": "m",
            "usage": TOKENS,
            "results": [{"index": 1, "document": {"text": "score 2"}, "relevance_score": 2.0}],
        },
    ),
    "vllm score, one to many": (
        "/vllm/score",
        {"text_1": QUERY, "text_2": TEXTS, "model": "other"},
        {
            "object": "list",
            "model": "other",
            "data": [{"index": i, "object": "score", "score": p} for i, p in enumerate([P0, P2, P1])],
            "usage": TOKENS,
        },
    ),
    "vllm score, one to one": (
        "/vllm/v1/score",
        {"text_1": QUERY, "text_2": "score 2"},
        {
            "object": "list",
            "model": "m",
            "data": [{"index": 0, "object": "score", "score": P2}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        },
    ),
    "vllm score, many to many": (
        "/v1/score",
        {"queries": ["a", "b", "a"], "documents": TEXTS},
        {
            "object": "list",
            "model": "m",
            "data": [{"index": i, "object": "score", "score": p} for i, p in enumerate([P0, P2, P1])],
            "usage": TOKENS,
        },
    ),
    "nim": (
        "/v1/ranking",
        {"query": {"text": QUERY}, "passages": [{"text": text} for text in TEXTS], "truncate": "END"},
        {"rankings": [{"index": 1, "logit": 2.0}, {"index": 0, "logit": 0.0}, {"index": 2, "logit": -1.0}]},
    ),
    "voyage": (
        "/voyage/v1/rerank",
        rerank | {"top_k": 1, "return_documents": True},
        {
            "object": "list",
            "data": [{"relevance_score": P2, "index": 1, "document": "score 2"}],
            "model": "m",
            "usage": {"total_tokens": 9},
        },
    ),
    "mixedbread": (
        "/mixedbread/v1/reranking",
        {"query": QUERY, "input": TEXTS, "top_k": 1, "return_input": True},
        {
            "usage": {**TOKENS, "completion_tokens": 0},
            "model": "m",
            "data": [{"index": 1, "score": P2, "input": "score 2", "object": "rank_result"}],
            "object": "list",
            "top_k": 1,
            "return_input": True,
        },
    ),
    "neutral v1": (
        "/v1/rerank",
        rerank,
        {"model": "m", "results": ranked, "usage": TOKENS, "meta": meta("1", warnings=[], calibrated=False)},
    ),
    "neutral v2": (
        "/v2/rerank",
        rerank | {"top_n": 0, "return_documents": True},
        {"model": "m", "results": with_text, "usage": TOKENS, "meta": meta("2", warnings=[], calibrated=False)},
    ),
    "neutral, raw": (
        "/rerank",
        rerank | {"top_n": 1, "raw_scores": True},
        {
            "model": "m",
            "results": [{"index": 1, "relevance_score": 2.0}],
            "usage": TOKENS,
            "meta": meta("1", warnings=[], calibrated=False),
        },
    ),
    "neutral with texts": ("/rerank", {"query": QUERY, "texts": TEXTS[:1]}, [{"index": 0, "score": P0}]),
}


@pytest.mark.parametrize("case", CASES)
def test_an_answer_is_exactly_the_vendors(api, case):
    path, body, expected = CASES[case]
    response = api.post(path, body)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert without_id(response.json()) == expected


UNKNOWN = {
    "voyage": {"total_tokens": None},
    "mixedbread": {"prompt_tokens": None, "total_tokens": None, "completion_tokens": 0},
}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_tokens_that_are_not_known_are_left_out_or_null(endpoint):
    for operation in endpoint.operations:
        body = operation.body.model_validate(operation.example)
        passages = operation.read(body, PassageFields()).passages
        scored = [Scored(index, 0.0, 0.0, 0.5) for index in range(len(passages))]
        answer = operation.write(body, RankedDocuments("m", "id", scored, passages))
        members = {} if isinstance(answer, list) else answer
        assert members.get("usage") == UNKNOWN.get(operation.dialect.name)
        assert "tokens" not in members.get("meta", {})


def test_equal_scores_keep_their_order(api):
    documents = ["score 1", "score 3", "score 1", "score 3"]
    results = api.post("/v1/rerank", {"query": QUERY, "documents": documents}).json()["results"]
    assert [one["index"] for one in results] == [1, 3, 0, 2]


def test_scores_beyond_the_sigmoids_reach_are_still_ordered(api):
    documents = ["score 40", "score 60", "score -800", "score -900"]
    results = api.post("/v1/rerank", {"query": QUERY, "documents": documents}).json()["results"]
    assert [(one["index"], one["relevance_score"]) for one in results] == [(1, 1.0), (0, 1.0), (2, 0.0), (3, 0.0)]


def test_empty_documents_are_scored_like_any_other(api):
    results = api.post("/tei/rerank", {"query": QUERY, "texts": ["", "ab", " "], "raw_scores": True}).json()
    assert results == [{"index": 1, "score": 2.0}, {"index": 2, "score": 1.0}, {"index": 0, "score": 0.0}]


def test_the_title_of_an_object_is_the_passages_title(api):
    # The scripted scorer reads the text alone: 9 characters of it, the title apart.
    documents = [{"title": "score 5", "text": "123456789"}, {"title": "only a title"}]
    results = api.post("/rerank", {"query": QUERY, "documents": documents, "raw_scores": True}).json()["results"]
    assert [(one["index"], one["relevance_score"]) for one in results] == [(0, 9.0), (1, 0.0)]


def test_the_models_are_listed_with_their_aliases(api):
    listed = api.client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [(one["id"], one["object"], one["root"]) for one in listed["data"]] == [
        ("m", "model", "m"),
        ("other", "model", "other"),
        ("rerank-v3.5", "model", "m"),
    ]
    assert [one["calibrated"] for one in listed["data"]] == [False, False, False]


def test_health_and_info(api):
    assert api.client.get("/health").json() == {"status": "ready"}
    assert (api.client.get("/tei/health").status_code, api.client.get("/tei/health").content) == (200, b"")
    info = api.client.get("/tei/info").json()
    assert (info["model_id"], info["max_client_batch_size"], info["auto_truncate"]) == ("m", 2000, True)
