"""Models of one process: adapters of one base share it, the rest stand alone, and all score as if loaded alone."""

from __future__ import annotations

import pytest

from sidecar.candidates import Passage
from sidecar.errors import AdapterMismatch
from sidecar.scoring.chunks import Chunking
from sidecar.scoring.fleet import load_scorers
from sidecar.scoring.loading import load_scorer
from tests.scoring.values import values

QUERY = "which passage holds the words"
PASSAGES = [Passage("", "word " * length) for length in (1, 9, 300)]


@pytest.fixture(scope="module")
def adapters(tiny_llama, tiny_models, tmp_path_factory):
    second = tiny_models.build_adapter(tiny_llama[0], tmp_path_factory.mktemp("second") / "adapter", seed=8)
    return str(tiny_llama[1]), str(second)


def test_adapters_of_one_base_share_it_and_score_as_if_alone(adapters, tiny_bert):
    first, second = adapters
    models = {
        "first": {"model": first, "device": "cpu"},
        "second": {"model": second, "device": "cpu", "max_length": 40},
        "chunked": {"model": second, "device": "cpu", "chunking": Chunking(tokens=20, overlap=4)},
        "slow": {"model": first, "device": "cpu", "engine": "transformers"},
        "bert": {"model": str(tiny_bert), "device": "cpu"},
    }
    fleet = load_scorers(models, merged=1)
    assert list(fleet) == list(models)
    for name, options in models.items():
        assert values(fleet[name], QUERY, PASSAGES) == values(load_scorer(**options), QUERY, PASSAGES), name
    shared = fleet["first"].checkpoint.model
    assert fleet["second"].checkpoint.model is shared
    assert fleet["chunked"].scorer.checkpoint.model is shared
    assert fleet["slow"].engine_name == "transformers"


def test_an_adapter_alone_is_loaded_by_itself(adapters):
    [scorer] = load_scorers({"one": {"model": adapters[0], "device": "cpu"}}).values()
    assert scorer.name == adapters[0]


def test_one_that_does_not_fit_the_base_is_refused(adapters, tiny_models, tmp_path):
    other, _ = tiny_models.build_tiny_llama(tmp_path, hidden_size=32)
    models = {name: {"model": path, "base_model": str(other)} for name, path in zip("ab", adapters, strict=True)}
    with pytest.raises(AdapterMismatch):
        load_scorers(models)
