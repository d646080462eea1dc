"""Weights stored in other ways than as plain numbers: read as transformers reads them, or refused by name."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BitsAndBytesConfig

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError, ModelError
from sidecar.scoring.checkpoints import stored_quantization
from sidecar.scoring.loading import load_scorer
from tests.support.models.values import values

QUERY, PASSAGES = "a query", [Passage("", "word " * length) for length in range(1, 6)]
BLOCKS = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


@pytest.fixture(scope="module")
def classifier(tiny_llama, tmp_path_factory):
    """Directory of a Llama with a trained score head."""
    directory = tmp_path_factory.mktemp("classifier")
    model = AutoModelForSequenceClassification.from_pretrained(str(tiny_llama[0]), num_labels=1)
    torch.manual_seed(0)
    model.score.weight.data.normal_(std=0.3)
    model.save_pretrained(str(directory))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_llama[0] / name, directory)
    return directory


def stored(classifier, directory, dtype, config=None):
    """Copy a checkpoint with the projections in 8 bits, and their scale in a tensor of its own."""
    shutil.copytree(classifier, directory)
    tensors = load_file(classifier / "model.safetensors")
    most, suffix = (448, "_scale_inv") if dtype == torch.float8_e4m3fn else (127, "_scale")
    for name in [name for name in tensors if "_proj" in name]:
        scale = tensors[name].abs().max() / most
        scaled = tensors[name] / scale
        tensors[name] = (scaled if dtype == torch.float8_e4m3fn else scaled.round()).to(dtype)
        tensors[f"{name}{suffix}"] = torch.full((1, 1), scale.item())
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    if config is not None:
        edit(directory, quantization_config=config)
    return directory


def edit(directory, **changes):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@torch.inference_mode()
def plain(directory, scorer, *, adapter=None):
    """Score with plain transformers, and peft, one pair at a time."""
    model = AutoModelForSequenceClassification.from_pretrained(str(directory), num_labels=1, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    pairs = scorer.prompt.pairs(QUERY, PASSAGES)
    return [model.eval()(input_ids=torch.tensor([pair.ids])).logits.item() for pair in pairs]


def test_float8_with_scales_is_read_by_transformers(classifier, tiny_llama, tmp_path):
    directory = stored(classifier, tmp_path / "fp8", torch.float8_e4m3fn, BLOCKS)
    scorer = load_scorer(str(directory), device="cpu")
    assert scorer.engine_name == "transformers"
    assert values(scorer, QUERY, PASSAGES) == pytest.approx(plain(directory, scorer), abs=1e-5)
    adapted = load_scorer(str(tiny_llama[1]), base_model=str(directory), device="cpu")
    expected = plain(directory, adapted, adapter=tiny_llama[1])
    assert values(adapted, QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ConfigurationError, match="sets quantization_config, which the engine does not know"):
        load_scorer(str(directory), device="cpu", engine="packed")


@pytest.mark.parametrize(
    ("dtype", "config", "message"),
    [
        (torch.int8, None, r"stores model\.layers\.0\.mlp\.down_proj\.weight in few bits"),
        (torch.float8_e4m3fn, None, r"does not use: model\.layers\.0\.mlp\.down_proj\.weight_scale_inv"),
        (torch.int8, {"quant_method": "mine"}, "a method that transformers does not know: mine"),
        (torch.int8, {"bits": 4}, "a method that transformers does not know: None"),
        (torch.int8, {"quant_method": "gptq", "bits": 4}, "stored by gptq that is not usable here: .*optimum"),
    ],
)
@pytest.mark.parametrize("adapted", [False, True])
def test_what_nobody_here_can_read_is_refused_by_name(
    classifier, tiny_llama, tmp_path, dtype, config, message, adapted
):
    directory = str(stored(classifier, tmp_path / "few", dtype, config))
    with pytest.raises(ModelError, match=message):
        load_scorer(str(tiny_llama[1]) if adapted else directory, base_model=directory if adapted else None)


@pytest.mark.parametrize("kind", ["8bit", "4bit"])
def test_a_checkpoint_saved_by_bitsandbytes_is_taken_as_it_is(classifier, tiny_llama, tmp_path, kind):
    config = BitsAndBytesConfig(**{f"load_in_{kind}": True, "bnb_4bit_quant_type": "nf4"})
    model = AutoModelForSequenceClassification.from_pretrained(
        str(classifier), num_labels=1, quantization_config=config, device_map={"": "cpu"}, dtype=torch.float32
    )
    shutil.copytree(classifier, tmp_path / "few")
    model.save_pretrained(str(tmp_path / "few"))
    scorer = load_scorer(str(tmp_path / "few"), device="cpu")
    expected = values(load_scorer(str(classifier), device="cpu", quantization=kind), QUERY, PASSAGES)
    assert values(scorer, QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)
    adapted = load_scorer(str(tiny_llama[1]), base_model=str(tmp_path / "few"), device="cpu")
    expected = values(load_scorer(str(tiny_llama[1]), device="cpu", quantization=kind), QUERY, PASSAGES)
    assert values(adapted, QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)
    other = "8bit" if kind == "4bit" else "4bit"
    with pytest.raises(ConfigurationError, match=f"are stored as {kind}, so they can't be quantised to {other}"):
        load_scorer(str(tmp_path / "few"), device="cpu", quantization=other)


def test_a_score_head_that_a_quantised_base_lacks_is_never_made_of_few_bits(tiny_llama, tmp_path):
    from transformers import AutoModelForCausalLM

    config = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=["lm_head"])
    model = AutoModelForCausalLM.from_pretrained(
        str(tiny_llama[0]), quantization_config=config, device_map={"": "cpu"}, dtype=torch.float32
    )
    shutil.copytree(tiny_llama[0], tmp_path / "base")
    model.save_pretrained(str(tmp_path / "base"))
    scorer = load_scorer(str(tiny_llama[1]), base_model=str(tmp_path / "base"), device="cpu")
    head = load_file(tiny_llama[1] / "adapter_model.safetensors")["base_model.model.score.weight"]
    assert torch.equal(scorer.checkpoint.model.score.weight, head)


def test_without_bitsandbytes_the_extra_is_named(classifier, tmp_path, monkeypatch):
    shutil.copytree(classifier, tmp_path / "few")
    edit(tmp_path / "few", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    monkeypatch.setattr(stored_quantization, "installed", lambda _: False)
    with pytest.raises(ModelError, match="stored by bitsandbytes .8bit., which is not installed") as caught:
        load_scorer(str(tmp_path / "few"), device="cpu")
    assert "pip install 'rerank-sidecar[quantized]'" in caught.value.remedy


def test_tensors_that_a_model_would_not_use_are_named(tiny_bert, classifier, tmp_path):
    for source, name in ((tiny_bert, "bert.encoder.layer.0.attention.self.distance_embedding.weight"),
                         (classifier, "model.layers.0.self_attn.q_norm.weight")):  # fmt: skip
        copy = tmp_path / source.name
        shutil.copytree(source, copy)
        tensors = load_file(copy / "model.safetensors") | {name: torch.ones(8)}
        save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=f"does not use: {name}: its scores would change"):
            load_scorer(str(copy), device="cpu")


def test_heads_of_other_tasks_are_known_to_be_unused(tiny_bert, tmp_path):
    expected = values(load_scorer(str(tiny_bert), device="cpu"), QUERY, PASSAGES)
    shutil.copytree(tiny_bert, tmp_path / "bert")
    more = {"cls.predictions.bias": torch.ones(3), "bert.embeddings.position_ids": torch.arange(512)[None]}
    file = tmp_path / "bert/model.safetensors"
    save_file(load_file(file) | more, file, metadata={"format": "pt"})
    assert values(load_scorer(str(tmp_path / "bert"), device="cpu"), QUERY, PASSAGES) == expected
