"""Number formats by device, and quantised weights on the CPU that the tests have."""

from __future__ import annotations

import pytest
import torch

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.precision import automatic_dtype, quantized
from sidecar.scoring.loading import load_scorer
from tests.support.models.values import values

QUERY = "which passage holds the words of a query"


@pytest.mark.parametrize(
    ("device", "capability", "dtype"),
    [
        ("cpu", None, "float32"),
        ("cuda", (7, 0), "float16"),  # V100
        ("cuda", (7, 5), "float16"),  # T4
        ("cuda", (8, 0), "bfloat16"),  # A100
        ("cuda", (8, 9), "bfloat16"),  # L4
        ("cuda", (9, 0), "bfloat16"),  # H100
        ("cuda", None, "bfloat16"),
        ("mps", None, "float16"),
        ("xpu", None, "bfloat16"),
    ],
)
def test_auto_is_what_the_hardware_has(device, capability, dtype):
    assert automatic_dtype(device, capability) == dtype


def test_auto_on_this_machines_cpu_is_float32_and_a_choice_goes_before_it():
    assert Placement("cpu").torch_dtype() == torch.float32
    assert Placement("cpu", "float16").torch_dtype() == torch.float16


def test_a_placement_says_in_what_an_engine_computes_where_that_is_not_the_weights_dtype():
    assert ", weights in float32, torch " in Placement("cpu").describe(computed_in="float32")
    assert ", weights in float32, computed in bfloat16, torch " in Placement("cpu").describe(computed_in="bfloat16")


@pytest.mark.parametrize(
    ("mode", "device", "message"), [("4bit", "mps", "does not support mps"), ("2bit", "cpu", "'2bit'")]
)
def test_what_can_not_be_quantised_is_refused(mode, device, message):
    with pytest.raises(ConfigurationError, match=message):
        quantized(mode, device, torch.float32)


def test_without_bitsandbytes_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="is not installed") as caught:
        quantized("4bit", "cpu", torch.float32)
    assert "pip install 'rerank-sidecar[quantized]'" in caught.value.remedy


@pytest.mark.parametrize(("mode", "kind", "tolerance"), [("8bit", "Linear8bitLt", 0.2), ("4bit", "Linear4bit", 1.0)])
def test_an_adapter_stays_unmerged_on_quantised_weights(tiny_llama, passages, mode, kind, tolerance):
    exact = values(load_scorer(str(tiny_llama[1]), device="cpu"), QUERY, passages)
    off = values(load_scorer(str(tiny_llama[1]), device="cpu", adapter=False), QUERY, passages)
    scorer = load_scorer(str(tiny_llama[1]), device="cpu", quantization=mode)
    model = scorer.checkpoint.model
    kinds = {type(module.base_layer).__name__ for module in model.modules() if hasattr(module, "base_layer")}
    assert kinds == {kind}
    assert type(model.score) is torch.nn.Linear
    assert model.score.weight.dtype == torch.float32
    quantised = values(scorer, QUERY, passages)
    sigma = torch.tensor(exact).std().item()
    errors = [abs(a - b) / sigma for a, b in zip(quantised, exact, strict=True)]
    changes = [abs(a - b) / sigma for a, b in zip(off, exact, strict=True)]
    assert 0 < max(errors) < tolerance
    assert sum(errors) < sum(changes)


def test_a_full_model_is_quantised_but_for_its_head(tiny_kin):
    scorer = load_scorer(str(tiny_kin("qwen-classifier")), device="cpu", quantization="8bit")
    kinds = {name.rpartition(".")[2]: type(module).__name__ for name, module in scorer.checkpoint.model.named_modules()}
    assert (kinds["q_proj"], kinds["score"]) == ("Linear8bitLt", "Linear")
    assert len(values(scorer, "q", [Passage("", "p")])) == 1
