"""Infinity with a tiny cross-encoder: its scores through a remote scorer are those that it gives itself, and ours."""

from __future__ import annotations

import httpx
import pytest

from sidecar.core.candidates import Passage
from sidecar.scoring.loading import load_scorer

QUERY = "how long does a flea live"
TEXTS = ["Dogs bark at night.", "A flea lives for about a hundred days.", "", "Cats chase mice. " * 30]


@pytest.fixture(scope="module")
def infinity(serving, tiny_bert):
    plain = ("--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer", "--no-compile")
    return serving("infinity_emb", "v2", "--model-id", str(tiny_bert), *plain, "--no-model-warmup", ready="/health")


def test_scores_are_those_that_it_gives_itself(infinity):
    body = {"query": QUERY, "documents": TEXTS, "raw_scores": True}
    found = httpx.post(f"{infinity}/rerank", json=body, timeout=60).json()["results"]
    theirs = {one["index"]: one["relevance_score"] for one in found}
    scorer = load_scorer(infinity)
    scores = [score.value for score in scorer.score(QUERY, [Passage("", text) for text in TEXTS])]
    scorer.close()
    assert scorer.engine_name == "remote infinity"
    assert scores == pytest.approx([theirs[index] for index in range(len(TEXTS))], abs=1e-6)


def test_scores_are_those_of_the_same_checkpoint_here(infinity, tiny_bert):
    there, here = load_scorer(infinity), load_scorer(str(tiny_bert), device="cpu", dtype="float32")
    passages = [Passage("", text) for text in TEXTS]
    expected = [score.value for score in here.score(QUERY, passages)]
    assert [score.value for score in there.score(QUERY, passages)] == pytest.approx(expected, abs=1e-4)
    there.close()
