"""Fusion of many queries at once: the same numbers, to the last bit, as `Fusion` gives query by query."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from sidecar.core.candidates import Candidate, Passage, Score
from sidecar.core.errors import NonFiniteScore
from sidecar.core.fusion import Arithmetic, Fusion, Method, Normalization
from sidecar.experiments.fusion_arrays import FusionArrays, ScoredList
from sidecar.reranker import arrange

FUSIONS = [
    Fusion(),
    Fusion(Method.ADAPTIVE),
    Fusion(Method.ADAPTIVE, Normalization.Z_SCORE),
    *(Fusion(Method.LINEAR, how, weight) for how in Normalization for weight in (0, 0.3, None, 1)),
    *(Fusion(Method.GEOMETRIC, weight=weight) for weight in (0, 0.35, None, 1)),
    *(Fusion(Method.HARMONIC, weight=weight) for weight in (0, 0.35, None, 1)),
    *(Fusion(Method.RRF, weight=weight, rank_constant=k) for weight in (None, 0, 0.7) for k in (1, 60)),
    Fusion(Method.LINEAR, weight=0.7, arithmetic=Arithmetic.OPENSEARCH),
    Fusion(Method.RRF, arithmetic=Arithmetic.OPENSEARCH),
]


def lists(seed: int) -> list[ScoredList]:
    chance = random.Random(seed)
    found = []
    for length in [*(chance.randint(0, 40) for _ in range(20)), 0, 1, 2]:
        first = sorted((chance.choice([chance.uniform(-3, 20), 2.0]) for _ in range(length)), reverse=True)
        model = [chance.choice([chance.gauss(0, 4), 0.5, math.nan]) for _ in range(length)]
        found.append(ScoredList([f"d{n}" for n in range(length)], np.array(first), np.array(model)))
    return found


def by_hand(one: ScoredList, window: int, fusion: Fusion) -> tuple[list[float], list[str]]:
    """Return the fused scores and the final order, as `run` computes them."""
    candidates = [
        Candidate(docid, rank, one.first[rank - 1], Passage("", "")) for rank, docid in enumerate(one.docids, 1)
    ]
    scores = [None if math.isnan(value) else Score(float(value)) for value in one.model[:window]]
    ranking = arrange("", candidates[:window], scores, fusion)
    scored = [hit for hit in ranking.hits if hit.score is not None]
    fused = [hit.score for hit in sorted(scored, key=lambda hit: hit.candidate.rank)]
    return fused, [hit.candidate.docid for hit in ranking.hits] + [one.docid for one in candidates[window:]]


@pytest.mark.parametrize("fusion", FUSIONS, ids=lambda one: "-".join(map(str, one.as_dict().values())))
@pytest.mark.parametrize("window", [5, 40])
def test_the_numbers_and_the_order_are_those_of_one_query_at_a_time(fusion, window):
    for seed in range(2):
        found = lists(seed)
        arrays = FusionArrays(found, window)
        expected = [by_hand(one, window, fusion) for one in found]
        assert arrays.fused(fusion).tolist() == [score for fused, _ in expected for score in fused]
        for depth in (3, 1000):
            assert arrays.orders(fusion, depth) == [order[:depth] for _, order in expected]


def test_a_first_stage_without_finite_scores_is_refused():
    with pytest.raises(NonFiniteScore, match="first stage"):
        FusionArrays([ScoredList(["a"], np.array([math.inf]), np.array([1.0]))], 10)


def test_a_fusion_that_overflows_is_refused():
    arrays = FusionArrays([ScoredList(["a", "b"], np.array([1.0, 2.0]), np.array([1e308, -1e308]))], 10)
    with pytest.raises(NonFiniteScore, match="not finite"):
        arrays.fused(Fusion(Method.LINEAR))
