"""The batch-invariant mode: a pair's score is the same to the last bit, whatever is scored with it."""

from __future__ import annotations

import random

import pytest

from sidecar.core.candidates import Passage
from sidecar.scoring.loading import load_scorer
from tests.support.models.tiny_zoo import build_base
from tests.support.models.values import values

QUERY = "what do the letters say"
DRAW = random.Random(3)
LENGTHS = [DRAW.randrange(1, 60) for _ in range(24)]
PASSAGES = [Passage("", " ".join("".join(DRAW.choices("abcdefg", k=3)) for _ in range(length))) for length in LENGTHS]


PACKED = [f"{name}, packed" for name in ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")]
PACKED += ["bert, packed", "modernbert, packed"]


@pytest.fixture(params=[*PACKED, "llama, transformers", "bert, openvino", "bert, transformers", "e5-small"])
def options(request, tiny_llama, tiny_bert, tmp_path):
    model, _, engine = request.param.partition(", ")
    named = {"llama": tiny_llama[1], "bert": tiny_bert, "e5-small": "e5-small"}.get(model)
    named = named or build_base(model, tmp_path / model)
    return {"model": str(named), "engine": engine or "auto", "device": "cpu", "cache_size": 0}


def test_no_bit_depends_on_the_batch(options):
    scorer = load_scorer(**options, invariant=True)
    alone = [values(scorer, QUERY, [passage])[0] for passage in PASSAGES]
    assert values(scorer, QUERY, PASSAGES) == alone
    assert values(scorer, QUERY, PASSAGES[::-1]) == alone[::-1]
    assert alone == pytest.approx(values(load_scorer(**options), QUERY, PASSAGES), abs=1e-5)
