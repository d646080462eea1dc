"""Scores for OpenSearch: positive, strictly monotone, the tail below."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from connectors.opensearch.respond.scores import LOWEST, positive_score, scores_below, window_scores


@pytest.mark.parametrize(
    ("fused", "score"), [(0.0, 1.0), (-0.0, 1.0), (2.5, 3.5), (-1.0, 0.36787944117144233), (-800.0, 0.0)]
)
def test_one_score(fused, score):
    assert positive_score(fused) == score


@pytest.mark.parametrize(
    ("fused", "scores"),
    [
        ([], []),
        ([3.0, 0.5, -2.0], [4.0, 1.5, 0.1353352832366127]),
        ([0.5, 0.5, 0.0], [1.5, 1.5, 1.0]),
        ([1e-20, 0.0], [1.0000000000000002, 1.0]),
        ([0.0, -1e-20], [1.0000000000000002, 1.0]),
        ([2e16, 1e16], [2e16 + 1, 1e16 + 1]),
        ([-800.0, -800.0], [LOWEST, LOWEST]),
        ([-700.0, -800.0], [math.nextafter(LOWEST, 1), LOWEST]),
    ],
)
def test_a_window(fused, scores):
    assert window_scores(fused) == scores


def test_different_scores_stay_different_and_in_order():
    fused = sorted(
        [
            0.0,
            1e-300,
            1e-20,
            -1e-20,
            1.0,
            math.nextafter(1.0, 2.0),
            1e16,
            1e16 + 2,
            -700.0,
            -745.0,
            -746.0,
            -1e9,
            1e308,
        ],
        reverse=True,
    )
    scores = window_scores(fused)
    assert all(above > below > 0 for above, below in pairwise(scores))
    assert math.isfinite(scores[0])


def test_the_tail_lies_below_and_falls():
    assert scores_below(3.0, 3) == [3.0 / 2, 3.0 / 3, 3.0 / 4]
    assert scores_below(3.0, 0) == []
    assert scores_below(LOWEST, 10_000)[-1] == LOWEST / 10_001 > 0
