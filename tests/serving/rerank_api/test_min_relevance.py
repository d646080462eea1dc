"""A threshold on relevance in every dialect, and whether a score is a probability."""

from __future__ import annotations

import pytest

from tests.support.servers.api_server import served_api
from tests.support.servers.scripted import FAKE

# sigmoid(0) is 0.5, sigmoid(2) 0.88, sigmoid(-1) 0.27
TEXTS = ["score 0", "score 2", "score -1"]
RERANK = {"query": "q", "documents": TEXTS}
BODIES = {
    "/v1/rerank": (RERANK, lambda said: said["results"]),
    "/cohere/v2/rerank": (RERANK, lambda said: said["results"]),
    "/jina/v1/rerank": (RERANK, lambda said: said["results"]),
    "/tei/rerank": ({"query": "q", "texts": TEXTS}, lambda said: said),
    "/infinity/rerank": (RERANK, lambda said: said["results"]),
    "/vllm/rerank": (RERANK, lambda said: said["results"]),
    "/v1/score": ({"text_1": "q", "text_2": TEXTS}, lambda said: said["data"]),
    "/v1/ranking": (
        {"query": {"text": "q"}, "passages": [{"text": text} for text in TEXTS]},
        lambda said: said["rankings"],
    ),
}


@pytest.fixture(scope="module")
def calibrated():
    with served_api(command=(*FAKE, "calibrated")) as running:
        yield running


@pytest.mark.parametrize("path", BODIES)
def test_every_dialect_leaves_out_what_is_less_relevant(calibrated, path):
    body, results = BODIES[path]
    whole = calibrated.post(path, body)
    assert sorted(one["index"] for one in results(whole.json())) == [0, 1, 2]
    assert (whole.headers["x-rerank-calibrated"], "x-rerank-dropped" in whole.headers) == ("true", False)
    answer = calibrated.post(path, body | {"min_relevance": 0.5})
    assert sorted(one["index"] for one in results(answer.json())) == [0, 1]
    assert answer.headers["x-rerank-dropped"] == "1"


def test_castorinis_shape_and_the_shared_meta(calibrated):
    candidates = [{"docid": str(i), "doc": text} for i, text in enumerate(TEXTS)]
    answer = calibrated.post("/v1/rerank", {"query": "q", "candidates": candidates, "min_relevance": 0.6})
    assert [one["docid"] for one in answer.json()["candidates"]] == ["1"]
    meta = calibrated.post("/v1/rerank", RERANK | {"min_relevance": 0.9}).json()["meta"]
    assert (meta["calibrated"], meta["dropped"]) == (True, 3)


def test_a_score_that_is_no_probability_is_labelled_and_has_no_threshold(api):
    assert api.post("/v1/rerank", RERANK).json()["meta"]["calibrated"] is False
    answer = api.post("/v1/rerank", RERANK | {"min_relevance": 0.5})
    assert (answer.status_code, answer.json()["message"]) == (
        422,
        "min_relevance needs a calibrated model, and the scores of m are no probabilities",
    )
    assert api.post("/cohere/v2/rerank", RERANK | {"min_relevance": 0.5}).status_code == 400


@pytest.mark.parametrize("value", [-1, 1.5, "much", {}])
def test_what_is_no_probability_is_refused(api, value):
    answer = api.post("/v1/rerank", RERANK | {"min_relevance": value})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("min_relevance: ")
