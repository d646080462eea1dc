"""Long work holds its memory: thousands of passages through a scorer, and one that is far too long."""

from __future__ import annotations

import resource

import pytest

from sidecar.core.candidates import Passage
from sidecar.scoring.loading import load_scorer

pytestmark = pytest.mark.soak


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_scoring_hundreds_of_windows_of_new_passages_keeps_to_its_memory(tiny_llama):
    scorer = load_scorer(str(tiny_llama[1]), device="cpu")
    passages = [Passage(f"Title {i}", f"number {i} " * (i % 60)) for i in range(100)]
    for turn in range(50):
        scorer.score(f"warm {turn}", passages)
    before = peak_megabytes()
    for turn in range(400):
        scorer.score(f"query {turn}", passages)
    assert peak_megabytes() - before < 64


def test_the_embedding_cache_is_bounded():
    scorer = load_scorer("e5-small", device="cpu")
    for turn in range(36):
        scorer.score("query", [Passage("", f"passage {turn} {i}") for i in range(500)])
    assert len(scorer._cache) == 16384
