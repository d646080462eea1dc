"""An adapter's settings: of the types that peft reads, and in agreement with its tensors, whichever engine computes."""

from __future__ import annotations

import json
import shutil

import pytest

from sidecar.core.errors import AdapterMismatch, ModelError
from sidecar.scoring.checkpoints.adapter_settings import with_defaults
from sidecar.scoring.checkpoints.lora_adapter import read_config
from sidecar.scoring.loading import load_scorer


@pytest.fixture
def copy(tiny_llama, tmp_path):
    return shutil.copytree(tiny_llama[1], tmp_path / "adapter")


def change(adapter, **settings):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize("text", ["5", "[1, 2]", "null", '"LORA"'])
def test_a_configuration_that_is_no_object_is_refused(copy, text):
    (copy / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match="is not a JSON object"):
        read_config(copy)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"r": 0}, r"Expected `int` >= 1 - at `\$.r`"),
        ({"r": "16"}, r"got `str` - at `\$.r`"),
        ({"lora_alpha": None}, r"got `null` - at `\$.lora_alpha`"),
        ({"lora_alpha": "16"}, r"got `str` - at `\$.lora_alpha`"),
        ({"target_modules": {"q_proj": 1}}, "got `object`"),
        ({"target_modules": "(q_proj"}, r"target_modules has '\(q_proj', which is no pattern"),
        ({"rank_pattern": {"q_proj": "x"}}, r"got `str` - at `\$.rank_pattern"),
        ({"alpha_pattern": {"(q": 1}}, r"alpha_pattern has '\(q', which is no pattern"),
        ({"layers_to_transform": "0"}, r"got `str` - at `\$.layers_to_transform`"),
    ],
)
def test_a_value_of_another_type_than_peft_reads_is_refused(copy, settings, reason):
    change(copy, **settings)
    with pytest.raises(ModelError, match=reason):
        read_config(copy)


def test_rank_and_alpha_have_the_defaults_of_peft():
    from peft import LoraConfig

    assert with_defaults({"a": 1}) == {"a": 1, "r": LoraConfig().r, "lora_alpha": LoraConfig().lora_alpha}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"target_modules": ["q_proj"]}, "layers.0.mlp.down_proj"),
        ({"exclude_modules": ["q_proj"]}, "layers.0.self_attn.q_proj"),
        ({"layers_to_transform": [0]}, "layers.1.mlp.down_proj"),
    ],
)
def test_factors_that_the_settings_do_not_name_are_refused(copy, settings, named):
    change(copy, **settings)
    with pytest.raises(AdapterMismatch, match=rf"does not name model\.{named}, whose factors it holds"):
        load_scorer(str(copy), device="cpu")
