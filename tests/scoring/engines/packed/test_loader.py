"""From files into the fused buffers: what is read, what is refused, and how much memory it takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, LlamaForCausalLM

from sidecar.core.candidates import Passage
from sidecar.core.errors import AdapterMismatch, ConfigurationError, ModelError
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.engines.packed.architectures import FAMILIES
from sidecar.scoring.engines.packed.loader import packs, read_decoder
from sidecar.scoring.loading import load_scorer
from tests.support.models.reference import load_reference, score_one
from tests.support.models.tiny_zoo import build_base
from tests.support.models.values import values

QUERY, PASSAGES = "a query", [Passage("", "word " * length) for length in range(1, 8)]
CPU = Placement(device="cpu")


@pytest.fixture
def base(tiny_llama, tmp_path):
    copy = tmp_path / "base"
    shutil.copytree(tiny_llama[0], copy)
    return copy


@pytest.fixture
def adapter(tiny_llama, tmp_path):
    copy = tmp_path / "adapter"
    shutil.copytree(tiny_llama[1], copy)
    return copy


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rename(file, new):
    save_file({new(key): tensor for key, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    "changes",
    [
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 4}, "alpha_pattern": {r"layers\.1\.mlp\.down_proj": 5}},
        {"target_modules": "all-linear", "r": 3},
        {"target_modules": r".*\.(q|k|up)_proj", "layers_to_transform": None},
        {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [1]},
    ],
)
def test_an_adapter_of_any_settings_scores_as_peft_merges_it(tiny_llama, tiny_models, tmp_path, changes):
    adapter = tiny_models.build_adapter(tiny_llama[0], tmp_path / "adapter", seed=4, **changes)
    reference = load_reference(adapter, base=tiny_llama[0])
    expected = [score_one(*reference, QUERY, p.title, p.text) for p in PASSAGES]
    scorer = load_scorer(str(adapter), device="cpu", engine="packed")
    assert values(scorer, QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)


def test_shards_and_a_bare_model_are_read_too(tiny_llama, adapter, base):
    expected = values(load_scorer(str(adapter), device="cpu", engine="packed"), QUERY, PASSAGES)
    model = LlamaForCausalLM.from_pretrained(str(base))
    (base / "model.safetensors").unlink()
    model.save_pretrained(str(base), max_shard_size="100KB")
    assert (base / "model.safetensors.index.json").is_file()
    sharded = load_scorer(str(adapter), base_model=str(base), device="cpu", engine="packed")
    assert values(sharded, QUERY, PASSAGES) == expected
    for file in base.glob("*.safetensors*"):
        file.unlink()
    model.model.save_pretrained(str(base))
    bare = load_scorer(str(adapter), base_model=str(base), device="cpu", engine="packed")
    assert values(bare, QUERY, PASSAGES) == expected


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.read_as is None])
def test_every_weight_is_where_transformers_has_it(name, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(str(build_base(name, tmp_path)))
    slots = read_decoder(tmp_path, CPU).slots()
    assert slots.keys() == model.state_dict().keys()
    assert all(torch.equal(slots[name], tensor) for name, tensor in model.state_dict().items())


def check_a_change_is_left_to_transformers(directory, changes, reason):
    """Check that a configuration is packed, and with some changes only by transformers, with the reason if asked."""
    assert packs("auto", directory, CPU)
    edit(directory / "config.json", **changes)
    assert not packs("auto", directory, CPU)
    with pytest.raises(ConfigurationError, match=reason):
        packs("packed", directory, CPU)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hidden_act": "gelu"}, "sets hidden_act to gelu"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "scaled by dynamic"),
        ({"model_type": "gptj"}, "it is a gptj, which is none of llama, llama_bidirec, mistral"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0, "partial": 1}}, "rotary parameters set partial"),
        ({"a_key_of_tomorrow": 1}, "sets a_key_of_tomorrow, which the engine does not know"),
        ({"quantization_config": {"quant_method": "fp8"}}, "sets quantization_config"),
        ({"num_hidden_layers": 1}, r"holds the tensor model\.layers\.1\.\S+, which the engine does not know"),
    ],
)
def test_what_can_not_be_packed_is_left_to_transformers_or_refused(base, changes, reason):
    check_a_change_is_left_to_transformers(base, changes, reason)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("llama", {"sliding_window": 4}, "sets sliding_window, which the engine does not know"),
        ("mistral", {"layer_types": ["full_attention"] * 2}, "sets layer_types, which the engine does not know"),
        ("qwen3", {"layer_types": ["chunked_attention"] * 2}, "it has layers of chunked_attention"),
        ("qwen2", {"use_mrope": True}, "sets use_mrope to True"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 2}, "layers of sliding_attention and no sliding_window"),
        ("gemma", {"use_bidirectional_attention": True}, "sets use_bidirectional_attention to True"),
        ("gemma2", {"hidden_activation": "relu"}, "sets hidden_activation to relu"),
        ("gemma3_text", {"attn_logit_softcapping": 9.0}, "sets attn_logit_softcapping, which the engine does not"),
        ("gemma3_text", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "are scaled by yarn"),
        ("qwen3", {"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "parameters set full_attention"),
    ],
)
def test_a_setting_that_an_architecture_does_not_have_here_is_left_to_transformers(tmp_path, name, changes, reason):
    build_base(name, tmp_path)
    check_a_change_is_left_to_transformers(tmp_path, changes, reason)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("qwen2", {"use_mrope": False, "sliding_window": 32768, "max_window_layers": 21}),
        ("gemma", {"hidden_act": "gelu", "hidden_activation": None}),
        ("gemma2", {"cache_implementation": "hybrid", "hidden_act": "relu", "sliding_window_size": 4}),
        ("gemma3_text", {"cache_implementation": "hybrid", "final_logit_softcapping": None}),
    ],
)
def test_keys_of_published_files_that_change_no_score_are_known(tmp_path, name, changes):
    build_base(name, tmp_path)
    plain = values(load_scorer(str(tmp_path), device="cpu", engine="packed"), QUERY, PASSAGES)
    edit(tmp_path / "config.json", **changes)
    assert values(load_scorer(str(tmp_path), device="cpu", engine="packed"), QUERY, PASSAGES) == plain
    theirs = load_scorer(str(tmp_path), device="cpu", engine="transformers")
    assert plain == pytest.approx(values(theirs, QUERY, PASSAGES), abs=1e-5)


@pytest.mark.parametrize("engine", ["auto", "packed", "transformers"])
def test_a_configuration_that_transformers_does_not_take_is_an_error(tmp_path, engine):
    build_base("qwen3", tmp_path)
    edit(tmp_path / "config.json", layer_types=["full_attention"])
    with pytest.raises(ModelError, match="must be equal to the number of `layer_types`"):
        load_scorer(str(tmp_path), device="cpu", engine=engine)


def test_placements_that_only_transformers_has_are_left_to_it(tiny_llama):
    assert not packs("auto", tiny_llama[0], Placement(device="cpu", quantization="8bit"))
    assert not packs("auto", tiny_llama[0], Placement(device_map="auto"))
    assert not packs("transformers", tiny_llama[0], CPU)
    assert load_scorer(str(tiny_llama[1]), device_map={"": "cpu"}).engine.name == "transformers"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"use_dora": True}, "use_dora"), ({"target_modules": ["embed_tokens", "q_proj"]}, "embed_tokens")],
)
def test_an_adapter_that_is_more_than_factors_is_left_to_peft(tiny_llama, tiny_models, tmp_path, changes, reason):
    adapter = tiny_models.build_adapter(tiny_llama[0], tmp_path / "adapter", seed=4, **changes)
    assert not packs("auto", tiny_llama[0], CPU, adapter=adapter)
    with pytest.raises(ConfigurationError, match=reason):
        load_scorer(str(adapter), device="cpu", engine="packed")


def test_a_rank_that_the_factors_do_not_have_is_a_mismatch(adapter):
    edit(adapter / "adapter_config.json", rank_pattern={"q_proj": 8})
    with pytest.raises(AdapterMismatch, match=r"self_attn.q_proj are not of the rank 8"):
        load_scorer(str(adapter), device="cpu")


def test_a_weight_that_is_missing_or_of_another_shape_is_an_error(adapter, base):
    edit(base / "config.json", vocab_size=7)
    with pytest.raises(ModelError, match=r"embed_tokens.weight of .* its config.json says \(7, 64\)"):
        load_scorer(str(adapter), base_model=str(base), device="cpu")
    edit(base / "config.json", vocab_size=len(load_file(base / "model.safetensors")["lm_head.weight"]))
    rename(base / "model.safetensors", lambda key: key.replace("1.mlp.up_proj", "1.mlp.other"))
    with pytest.raises(ModelError, match=r"LlamaFor\w+ does not use: model.layers.1.mlp.other.weight"):
        load_scorer(str(adapter), base_model=str(base), device="cpu")
    tensors = load_file(base / "model.safetensors")
    del tensors["model.layers.1.mlp.other.weight"]
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks the weights model.layers.1.mlp.up_proj.weight"):
        load_scorer(str(adapter), base_model=str(base), device="cpu")


MEASURE = """
import sys, threading
from pathlib import Path
import torch
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.engines.packed import loader

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

place = Placement(device="cpu", dtype=sys.argv[3])
loader.read_decoder(Path(sys.argv[1]), place, adapter=Path(sys.argv[2]))  # the libraries' own memory, once
peaks, before, copy = [], anonymous(), loader._tensors
def watched(directory):
    for found in copy(directory):
        yield found
        peaks.append(anonymous())
loader._tensors = watched
llama = loader.read_decoder(Path(sys.argv[1]), place, adapter=Path(sys.argv[2]))
print((max(peaks) - before) / sum(slot.nbytes for slot in llama.slots().values()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_takes_no_second_copy(tiny_models, tmp_path):
    base, adapter = tiny_models.build_tiny_llama(tmp_path, hidden_size=512, layers=6, heads=8)
    command = [sys.executable, "-c", MEASURE, str(base), str(adapter), "float32"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.3
