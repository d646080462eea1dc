"""The demands of a request: tokens are counted, limits honoured, and what can't be done is refused."""

from __future__ import annotations

import pytest

from sidecar.core.read_options import ReadOptions
from sidecar.serving.scorer.protocol import ScoreJob, to_scorer
from sidecar.serving.scorer.protocol import packed as frame

LONG = ["score 1 endless", "score 2"]
RERANK = {"query": "q", "documents": LONG}


def test_tokens_are_those_of_every_pair_cached_or_not(api):
    first, second = (api.post("/v1/rerank", {"query": "of tokens", "documents": LONG}) for _ in range(2))
    for answer in (first, second):
        assert answer.json()["usage"] == {"prompt_tokens": 2 * 2 + 3 + 2, "total_tokens": 9}
        assert answer.json()["meta"]["tokens"] == {"input_tokens": 9, "output_tokens": 0}
        assert answer.headers["x-compute-tokens"] == "9"


def test_a_document_that_was_not_read_to_its_end_is_told(api):
    said = api.post("/cohere/v2/rerank", RERANK).json()["meta"]["warnings"]
    assert said == ["1 of 2 documents were not read to the end: the model reads 256 tokens of a query and a document"]
    assert api.post("/cohere/v1/rerank", RERANK).json()["meta"]["warnings"] == said


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/tei/rerank", {"query": "q", "texts": LONG, "truncate": False}, 413),
        ("/voyage/v1/rerank", RERANK | {"truncation": False}, 400),
        ("/v1/ranking", {"query": {"text": "q"}, "passages": [{"text": t} for t in LONG], "truncate": "NONE"}, 422),
    ],
)
def test_what_may_not_be_cut_is_refused_if_the_model_would_cut_it(api, path, body, status):
    assert api.post(path, body).status_code == status
    assert "are longer than the 256 tokens that the model reads" in api.post(path, body).text
    kept = {key: value for key, value in body.items() if not key.startswith("trunca")}
    assert api.post(path, kept).status_code == 200


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank", "/vllm/v1/rerank"])
@pytest.mark.parametrize("key", ["use_activation", "activation"])
def test_vllms_clients_get_the_models_own_scores_on_shared_paths_too(api, path, key):
    body = {"query": "q", "documents": ["score 3"]}
    scores = [api.post(path, body | {key: on}).json()["results"][0]["relevance_score"] for on in (False, True)]
    assert scores == [3.0, 0.952574127]


def test_two_keys_that_want_different_scores_are_refused(api):
    answer = api.post("/v1/rerank", RERANK | {"raw_scores": True, "use_activation": True})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "use_activation")
    assert api.post("/v1/rerank", RERANK | {"raw_scores": True, "use_activation": False}).status_code == 200


@pytest.mark.parametrize("docid", [True, 1.0, None, ["d1"]])
def test_the_id_of_a_candidate_is_text_or_a_whole_number(api, docid):
    answer = api.post("/v1/rerank", {"query": "q", "candidates": [{"docid": docid, "doc": "score 1"}]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "candidates.0.docid")


def test_candidates_are_read_and_limited_as_documents_are(api):
    doc = {"title": "score 9", "abstract": "score 3", "text": "score 1"}
    body = {"query": "q", "candidates": [{"docid": "d1", "doc": doc}], "rank_fields": ["abstract"]}
    assert api.post("/v1/rerank", body).json()["candidates"] == [{"docid": "d1", "doc": doc, "score": 3.0}]
    refused = api.post("/v1/rerank", body | {"truncate_prompt_tokens": 100})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "truncate_prompt_tokens")
    spans = api.post("/v1/rerank", body | {"relevant_spans": {"mode": "enabled"}}).json()["candidates"][0]
    assert spans["relevant_spans"] == [{"start": 0, "end": 7, "score": 0.952574127}]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"instruction": "find facts"}, "the model m takes no instruction"),
        ({"instruction": ""}, "instruction: "),
        ({"instruction": "x" * 2001}, "instruction: "),
        ({"truncate_prompt_tokens": 100}, "the model reads pairs of 256 tokens"),
        ({"truncate_prompt_tokens": -2}, "truncate_prompt_tokens: "),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc: "),
        ({"priority": -1}, "priority: "),
        ({"priority": 1000}, "priority: "),
    ],
)
def test_what_can_not_be_done_is_refused(api, more, param):
    answer = api.post("/v1/rerank", RERANK | more)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(param)


@pytest.mark.parametrize("more", [{"truncate_prompt_tokens": -1}, {"truncate_prompt_tokens": 256}, {"priority": 999}])
def test_what_changes_nothing_is_accepted(api, more):
    assert api.post("/vllm/rerank", RERANK | more).status_code == 200


def test_each_way_of_reading_has_scores_of_its_own():
    ways = [ReadOptions(), ReadOptions(document_tokens=3), ReadOptions(instruction="3"), ReadOptions(3, "3")]
    assert len({way.of("m") for way in ways}) == len(ways)
    assert ways[0].of("m") == "m"


def test_a_jobs_options_reach_the_scorers_process():
    job = ScoreJob(1, "m", "q", [("", "a")], 1.0, "me", 7, ReadOptions(3, "find"))
    assert to_scorer(frame(job)[4:]) == job
