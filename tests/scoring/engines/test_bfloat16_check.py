from __future__ import annotations

import math

import pytest

from sidecar.scoring.engines.bfloat16_check import deviation
from sidecar.scoring.loading import load_scorer


class Engine:
    name = "made up"

    def __init__(self, logits):
        self._logits = logits

    def logits(self, groups):
        return [[float(value) for value in self._logits[: len(group)]] for group in groups]


EXACT = [0, 1] * 4


@pytest.mark.parametrize(
    ("exact", "rounded", "expected"),
    [
        (EXACT, EXACT, 0.0),
        (EXACT, [0, 1] * 3 + [0, 1.1], 0.2),
        ([1] * 8, [1] * 8, 0.0),
        ([1] * 8, [1] * 7 + [1.1], math.inf),
        (EXACT, [math.nan] * 8, math.inf),
        ([math.inf] * 8, EXACT, math.inf),
    ],
)
def test_it_is_the_furthest_in_standard_deviations(tiny_bert, exact, rounded, expected):
    checkpoint = load_scorer(str(tiny_bert), device="cpu", engine="transformers").checkpoint
    assert deviation(checkpoint, Engine(exact), Engine(rounded)) == pytest.approx(expected)
