"""Stage two in the rerank API: by name in a request of any dialect; scores stay with their places."""

from __future__ import annotations

import json

import pytest

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.model_spec import Remote
from sidecar.serving.rerank_api.engine import RequestLimits
from sidecar.serving.scorer.stage_two import ServiceStageTwo
from tests.support.servers.api_server import served_api
from tests.support.servers.chat_stub import chat_stub, completion

# The scripted scorer finds the highest number best, the generator the lowest. It orders the three best of four.
TEXTS = ["score 0", "score 2", "score -1", "score 1"]
BY_MODEL, BY_GENERATOR = [1, 3, 0, 2], [0, 3, 1, 2]
RERANK = {"query": "q", "documents": TEXTS}
BODIES = {
    "/v1/rerank": (RERANK, lambda said: [(one["index"], one["relevance_score"]) for one in said["results"]]),
    "/cohere/v2/rerank": (RERANK, lambda said: [(one["index"], one["relevance_score"]) for one in said["results"]]),
    "/jina/v1/rerank": (RERANK, lambda said: [(one["index"], one["relevance_score"]) for one in said["results"]]),
    "/tei/rerank": ({"query": "q", "texts": TEXTS}, lambda said: [(one["index"], one["score"]) for one in said]),
    "/voyage/v1/rerank": (RERANK, lambda said: [(one["index"], one["relevance_score"]) for one in said["data"]]),
    "/mixedbread/v1/reranking": (
        {"query": "q", "input": TEXTS},
        lambda said: [(one["index"], one["score"]) for one in said["data"]],
    ),
    "/infinity/rerank": (RERANK, lambda said: [(one["index"], one["relevance_score"]) for one in said["results"]]),
    "/vllm/rerank": (RERANK, lambda said: [(one["index"], one["relevance_score"]) for one in said["results"]]),
    "/v1/ranking": (
        {"query": {"text": "q"}, "passages": [{"text": text} for text in TEXTS]},
        lambda said: [(one["index"], one["logit"]) for one in said["rankings"]],
    ),
}


@pytest.fixture(scope="module")
def generator():
    with chat_stub(worth=lambda text: -float(text.split()[1])) as server:
        yield server


@pytest.fixture(autouse=True)
def _healthy(generator):
    generator.faults, generator.seconds = [], 0.0


@pytest.fixture(scope="module")
def listwise(generator):
    spec = ListwiseSpec(model=generator.url, depth=3, remote=Remote(model="stub"))
    with served_api(stage_two=ServiceStageTwo(spec, CircuitBreaker(100, 1.0))) as running:
        yield running


@pytest.mark.parametrize("path", BODIES)
def test_every_dialect_has_the_generators_order_and_scores_that_fall(listwise, path):
    body, results = BODIES[path]
    before = listwise.post(path, body)
    assert [index for index, _ in results(before.json())] == BY_MODEL
    assert "x-rerank-stage" not in before.headers
    after = listwise.post(path, body | {"listwise": True})
    assert [index for index, _ in results(after.json())] == BY_GENERATOR
    assert [score for _, score in results(after.json())] == [score for _, score in results(before.json())]
    assert (after.headers["x-rerank-stage"], "x-rerank-reason" in after.headers) == ("2", False)


def test_the_configured_generator_may_be_named_and_the_shared_meta_says_the_stage(listwise):
    answer = listwise.post("/v2/rerank", RERANK | {"listwise": "stub", "top_n": 2}).json()
    assert [one["index"] for one in answer["results"]] == BY_GENERATOR[:2]
    assert (answer["meta"]["stage"], answer["meta"]["warnings"]) == (2, [])
    assert "stage" not in listwise.post("/v2/rerank", RERANK | {"listwise": False}).json()["meta"]


def test_equal_scores_have_the_generators_order(listwise):
    texts = [f"about {number}" for number in (3, 1, 2)]  # of one length, which is their score
    answer = listwise.post("/v1/rerank", {"query": "q", "documents": texts, "listwise": True}).json()
    assert [one["index"] for one in answer["results"]] == [1, 2, 0]


def test_castorinis_candidates_are_ordered(listwise):
    candidates = [{"docid": str(i), "doc": text} for i, text in enumerate(TEXTS)]
    answer = listwise.post("/v1/rerank", {"query": "q", "candidates": candidates, "listwise": True}).json()
    assert [one["docid"] for one in answer["candidates"]] == [str(i) for i in BY_GENERATOR]
    assert [one["score"] for one in answer["candidates"]] == [2.0, 1.0, 0.0, -1.0]


def test_spans_are_of_the_documents_that_the_generator_finds_best(listwise):
    wanted = {"listwise": True, "top_n": 1, "relevant_spans": {"mode": "enabled", "threshold": 0}}
    [result] = listwise.post("/v1/rerank", RERANK | wanted).json()["results"]
    assert (result["index"], result["relevant_spans"]) == (0, [{"start": 0, "end": 7, "score": 0.5}])


FAULTS = {
    "refuses": ((400, {}, "détail — no".encode()), "stage two: ", "refuses the request (HTTP 400): d?tail ? no"),
    "no order": ((200, {}, json.dumps(completion("Sorry.")).encode()), "1 of 1 answers", "hold no order"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_generator_that_fails_leaves_the_models_order_and_is_said(listwise, generator, name):
    fault, begins, holds = FAULTS[name]
    generator.faults = [lambda _: fault]
    answer = listwise.post("/v2/rerank", RERANK | {"query": name, "listwise": True})
    assert [one["index"] for one in answer.json()["results"]] == BY_MODEL
    assert answer.headers["x-rerank-stage"] == "1"
    assert answer.headers["x-rerank-reason"].startswith(begins)
    assert holds in answer.headers["x-rerank-reason"]
    [warning] = answer.json()["meta"]["warnings"]
    assert warning.startswith(begins)


def test_a_generator_that_is_late_costs_the_time_of_the_request_and_no_more(generator):
    spec = ListwiseSpec(model=generator.url, remote=Remote(model="stub"))
    stage_two = ServiceStageTwo(spec, CircuitBreaker(100, 1.0))
    with served_api(stage_two=stage_two, limits=RequestLimits(seconds=1.0)) as running:
        running.post("/v1/rerank", RERANK)
        generator.seconds = 3
        answer = running.post("/v1/rerank", RERANK | {"listwise": True})
    assert answer.elapsed.total_seconds() < 2
    assert ([one["index"] for one in answer.json()["results"]], answer.headers["x-rerank-stage"]) == (BY_MODEL, "1")


@pytest.mark.parametrize("asked", ["other", "http://elsewhere/v1", ""])
def test_only_the_configured_generator_can_be_named(listwise, asked):
    answer = listwise.post("/v1/rerank", RERANK | {"listwise": asked})
    assert answer.status_code == 422
    assert answer.json()["message"] == f"there is no generator {asked!r} for stage two here. Configured is stub."


@pytest.mark.parametrize("asked", [1, 0.5, {}, []])
def test_what_names_no_generator_is_refused(listwise, asked):
    answer = listwise.post("/v1/rerank", RERANK | {"listwise": asked})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("listwise: ")


def test_without_a_generator_a_request_for_one_is_refused(api):
    answer = api.post("/cohere/v2/rerank", RERANK | {"listwise": True})
    assert answer.status_code == 400
    assert "there is no generator for stage two here" in answer.json()["message"]
    assert api.post("/cohere/v2/rerank", RERANK | {"listwise": False}).status_code == 200


def test_scores_in_the_order_of_the_request_have_no_stage_two(listwise):
    answer = listwise.post("/v1/score", {"text_1": "q", "text_2": TEXTS, "listwise": True})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("listwise: scores come in the request's order")
    assert listwise.post("/v1/score", {"text_1": "q", "text_2": TEXTS, "listwise": False}).status_code == 200


def test_the_generators_work_is_counted(listwise):
    listwise.post("/v1/rerank", RERANK | {"query": "counted", "listwise": True})
    text = listwise.engine.metrics.text(listwise.engine.service).decode()
    assert 'sidecar_stage_two_total{api="rerank",result="applied"}' in text
    assert 'sidecar_stage_seconds_count{api="rerank",stage="listwise"}' in text
