"""Memory of the embedded architecture's engine while batches of ever new shapes come."""

from __future__ import annotations

import random

import pytest
import torch

from sidecar.bench.measures import Memory
from sidecar.bench.shapes import embedded_classifier
from sidecar.scoring.engines.openvino import OpenVinoEngine
from sidecar.scoring.hardware import native_precisions
from sidecar.scoring.prompt import Tokens

MEGABYTE = 1e6


@pytest.mark.soak
@pytest.mark.parametrize("precision", native_precisions())
def test_new_shapes_take_no_memory_for_good(precision):
    memory, chance = Memory(torch.device("cpu")), random.Random(0)
    engine = OpenVinoEngine(
        embedded_classifier(seed=0, device=torch.device("cpu"), dtype=torch.float32), precision=precision
    )

    def score(batches):
        for _ in range(batches):
            longest = chance.randint(20, 228)
            row = Tokens([101, *[chance.randint(1000, 20000) for _ in range(longest - 2)], 102], [0] * longest)
            engine.logits([[row] * chance.randint(1, 8)])

    score(200)
    before = memory.now()
    score(600)
    assert memory.now() - before < 60 * MEGABYTE  # OpenVINO's own limit: 250 and more
