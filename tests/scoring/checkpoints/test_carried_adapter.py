"""The adapter that this package carries, the default: it fits its base, and plain peft reads it as we do."""

from __future__ import annotations

import json
import re

import pytest
import torch

from sidecar.core.candidates import Passage
from sidecar.scoring.checkpoints.bundled_weights import find_embedded
from sidecar.scoring.checkpoints.hub import not_found
from sidecar.scoring.checkpoints.manifest import read_manifest
from sidecar.scoring.checkpoints.presets import CARRIED, DEFAULT, EMBEDDED, PRESETS
from sidecar.scoring.loading import load_scorer, locate, own_directory
from sidecar.settings import Settings
from tests.support.models.values import values

QUERY = "how do I bake bread"
PASSAGES = [
    Passage("", "flour, water and an oven"),
    Passage("Bread", "is baked from dough in a hot oven."),
    Passage("", "a fast car"),
    Passage("", "the ways in which bread was taxed"),
]
MEGABYTE = 10**6


@pytest.fixture(scope="module", params=CARRIED)
def folder(request):
    return CARRIED[request.param]


def test_it_is_small_and_names_its_base_as_the_hub_does(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8 * MEGABYTE
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == PRESETS[EMBEDDED].model
    assert read_manifest(folder).kind == "cross-encoder"


def test_its_card_says_what_it_was_trained_on_and_holds_no_path_of_a_machine(folder):
    card = (folder / "README.md").read_text()
    assert [word for word in ("MS MARCO", "WikiQA", "SQuAD", "non-commercial") if word not in card] == []
    assert re.search(r"/(tmp|home|root|work|mnt|Users)\b", card) is None


def test_plain_peft_reads_it_with_equal_scores():
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = str(find_embedded())
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    plain = PeftModel.from_pretrained(model, str(CARRIED[DEFAULT])).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    with torch.inference_mode():
        theirs = [
            plain(**tokenizer(QUERY, f"{p.title} {p.text}".strip(), return_tensors="pt")).logits.item()
            for p in PASSAGES
        ]
    for engine in ("transformers", "openvino"):
        scorer = load_scorer(DEFAULT, device="cpu", dtype="float32", engine=engine)
        assert values(scorer.cross, QUERY, PASSAGES) == pytest.approx(theirs, abs=1e-4)
    cosines = values(load_scorer(EMBEDDED, device="cpu", dtype="float32"), QUERY, PASSAGES)
    sums = [logit + scorer.weight * cosine for logit, cosine in zip(theirs, cosines, strict=True)]
    assert values(scorer, QUERY, PASSAGES) == pytest.approx(sums, abs=1e-3)


def test_it_tells_bread_from_cars_and_from_taxes():
    flour, baked, car, taxed = values(load_scorer(device="cpu"), QUERY, PASSAGES)
    assert baked > max(flour, taxed) + 3
    assert min(flour, taxed) > car + 3


def test_its_name_is_a_preset_wherever_it_is_called(monkeypatch, tmp_path):
    (tmp_path / DEFAULT).mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate(DEFAULT).directory == CARRIED[DEFAULT]
    assert own_directory(DEFAULT) is None
    assert Settings().model == DEFAULT
    assert "minilm-reranker" in not_found("minilm-rerankr", "why").message
