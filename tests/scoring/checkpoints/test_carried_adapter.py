"""The models that this package carries: small, described, and found by their names wherever a command is called."""

from __future__ import annotations

import json
import re

import pytest

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelNotFound
from sidecar.scoring.checkpoints.hub import not_found
from sidecar.scoring.checkpoints.manifest import Beside, read_manifest
from sidecar.scoring.checkpoints.presets import CARRIED, DEFAULT, PRESETS
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
ADAPTER = "minilm-reranker"
MEGABYTE = 10**6


@pytest.mark.parametrize("name", CARRIED)
def test_its_card_holds_no_path_of_a_machine(name):
    card = (CARRIED[name] / "README.md").read_text()
    assert re.search(r"/(tmp|home|root|work|mnt|Users)\b", card) is None


def test_the_adapter_is_small_and_names_its_base_as_the_hub_does():
    folder = CARRIED[ADAPTER]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8 * MEGABYTE
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == PRESETS["minilm"].model
    manifest = read_manifest(folder)
    assert (manifest.kind, manifest.beside, manifest.fusion) == ("cross-encoder", Beside("minilm", 6.0), None)


def test_the_adapters_card_says_what_it_was_trained_on():
    card = (CARRIED[ADAPTER] / "README.md").read_text()
    assert [word for word in ("MS MARCO", "WikiQA", "SQuAD", "non-commercial") if word not in card] == []


def test_the_adapter_says_which_base_it_needs_where_that_can_not_be_had(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFound, match="The base model of the adapter 'minilm-reranker' can't be loaded"):
        load_scorer(ADAPTER, device="cpu", offline=True)


def test_the_default_tells_bread_from_cars_and_from_taxes():
    flour, baked, car, taxed = values(load_scorer(device="cpu"), QUERY, PASSAGES)
    assert baked > max(flour, taxed) + 0.01
    assert min(flour, taxed) > car + 0.01


@pytest.mark.parametrize("name", CARRIED)
def test_its_name_is_a_preset_wherever_it_is_called(monkeypatch, tmp_path, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert locate(name).directory == CARRIED[name]
    assert own_directory(name) is None
    assert name in not_found(f"{name[:-1]}x", "why").message
    assert Settings().model == DEFAULT
