"""A BERT read straight from its files: the same numbers as transformers' and peft's, or not read at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from sidecar.core.candidates import Passage
from sidecar.scoring.checkpoints.encoder_model import EncoderModel, read_encoder
from sidecar.scoring.loading import load_scorer
from tests.support.models.values import values

FP32 = 1e-5
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "scipy", "sklearn", "sentence_transformers"}
QUERY = "which passage holds the words of a query"
PASSAGES = [
    Passage("", "one short text"),
    Passage("A title", "a passage that holds the words of a query"),
    Passage("", "x " * 90),
]


@pytest.fixture(scope="session")
def adapter(tiny_bert, tmp_path_factory, tiny_models):
    """A LoRA of a tiny BERT as `sidecar train` makes one: all linear layers of the encoder, pooler and head whole."""
    return tiny_models.build_adapter(
        tiny_bert,
        tmp_path_factory.mktemp("bert-adapter"),
        seed=3,
        target_modules=["query", "key", "value", "dense"],
        exclude_modules=["bert.pooler.dense"],
        modules_to_save=["pooler"],
    )


@pytest.fixture
def copy(tiny_bert, tmp_path):
    """A copy of a tiny BERT classifier to change."""
    return shutil.copytree(tiny_bert, tmp_path / "bert")


def change_json(path, **changes):
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "absent"}))


@pytest.mark.parametrize("model", ["e5-small", "adapter"])
def test_scores_equal_transformers(model, adapter):
    named = str(adapter) if model == "adapter" else model
    plain = load_scorer(named, device="cpu", engine="openvino", dtype="float32")
    theirs = load_scorer(named, device="cpu", engine="transformers", dtype="float32")
    assert values(plain, QUERY, PASSAGES) == pytest.approx(values(theirs, QUERY, PASSAGES), abs=FP32)


def test_every_weight_equals_what_transformers_and_peft_make_of_it(tiny_bert, adapter):
    ours = read_encoder(tiny_bert, classifier=True, adapter=adapter)
    checkpoint = load_scorer(str(adapter), device="cpu", engine="transformers", dtype="float32").checkpoint
    theirs = EncoderModel.of(checkpoint.model, checkpoint.traits)
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert max(np.abs(ours.tensors[name] - theirs.tensors[name]).max() for name in ours.tensors) < 1e-6
    assert ours.traits == checkpoint.traits


def test_a_half_precision_file_is_read_exactly(copy):
    halves = {name: tensor.astype(np.float16) for name, tensor in load_file(copy / "model.safetensors").items()}
    save_file(halves, copy / "model.safetensors", {"format": "pt"})
    found = read_encoder(copy, classifier=True)
    assert all((found.tensors[name.removeprefix("bert.")] == tensor).all() for name, tensor in halves.items())


def test_rows_of_integers_are_multiplied_by_their_scales(copy):
    tensors = load_file(copy / "model.safetensors")
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    rows = np.arange(tensors[name].size, dtype=np.int64).reshape(tensors[name].shape) % 255 - 127
    scales = np.linspace(0.1, 0.2, len(rows), dtype=np.float16)
    save_file(
        tensors | {name: rows.astype(np.int8), f"{name}.scale": scales}, copy / "model.safetensors", {"format": "pt"}
    )
    found = read_encoder(copy, classifier=True).tensors[name.removeprefix("bert.")]
    assert found[1, 2] == np.float32(rows[1, 2]) * np.float32(scales[1])
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_act": "relu"},
        {"is_decoder": True},
        {"add_cross_attention": True},
        {"position_embedding_type": "relative_key"},
        {"model_type": "roberta"},
        {"quantization_config": {"quant_method": "fp8"}},
        {"a_key_of_tomorrow": 1},
        {"hidden_size": "absent"},
        {"id2label": {"0": "no", "1": "yes"}},
        {"num_hidden_layers": 1},
        {"vocab_size": 5},
    ],
)
def test_another_configuration_is_left_to_transformers(copy, changes):
    assert read_encoder(copy, classifier=True) is not None
    change_json(copy / "config.json", **changes)
    assert read_encoder(copy, classifier=True) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("classifier.bias"),
        lambda tensors: tensors.update(
            {"bert.encoder.layer.0.attention.self.query.weight_scale": np.ones(1, np.float32)}
        ),
        lambda tensors: tensors.update({"classifier.weight": np.ones((2, 32), np.float32)}),
        lambda tensors: tensors.update({"classifier.bias": np.ones(1, np.int32)}),
        lambda tensors: tensors.update({"bert.pooler.dense.weight": np.ones((32, 32), np.int8)}),
        lambda tensors: tensors.update({"pooler.dense.weight": np.ones((32, 32), np.float32)}),
    ],
)
def test_other_tensors_are_left_to_transformers(copy, change):
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    assert read_encoder(copy, classifier=True) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"use_dora": True},
        {"init_lora_weights": "pissa"},
        {"alora_invocation_tokens": [1, 2]},
        {"rank_pattern": {"query": 4}},
        {"alpha_pattern": {"query": 4}},
        {"layers_to_transform": [0]},
        {"fan_in_fan_out": True},
        {"bias": "all"},
        {"lora_bias": True},
        {"trainable_token_indices": [1]},
        {"a_key_of_tomorrow": True},
    ],
)
def test_an_adapter_that_is_more_than_factors_is_left_to_peft(tmp_path, tiny_bert, adapter, changes):
    copied = shutil.copytree(adapter, tmp_path / "adapter")
    assert read_encoder(tiny_bert, classifier=True, adapter=copied) is not None
    change_json(copied / "adapter_config.json", **changes)
    assert read_encoder(tiny_bert, classifier=True, adapter=copied) is None


@pytest.mark.parametrize("part", ["lora_A", "lora_B", "encoder.layer.1."])
def test_an_adapter_without_all_its_factors_is_left_to_peft(tmp_path, tiny_bert, adapter, part):
    copied = shutil.copytree(adapter, tmp_path / "adapter")
    tensors = load_file(copied / "adapter_model.safetensors")
    dropped = [name for name in tensors if part in name and ("layer.1." in name)]
    assert dropped
    save_file(
        {name: tensor for name, tensor in tensors.items() if name not in dropped}, copied / "adapter_model.safetensors"
    )
    assert read_encoder(tiny_bert, classifier=True, adapter=copied) is None


@pytest.mark.parametrize(
    "options", [{}, {"engine": "openvino"}, {"dtype": "float32"}, {"device": "cpu", "max_length": 64}]
)
def test_the_default_loads_and_scores_without_torch(options):
    probe = (
        "import sys\n"
        "from sidecar import load_reranker\n"
        f"reranker = load_reranker(**{options!r})\n"
        "assert reranker.rerank('what is a flea', [('', 'A flea bites.'), ('', 'Rain.')])[0][0] == 0\n"
        f"print(sorted({HEAVY!r} & sys.modules.keys()))\n"
    )
    if torch.cuda.is_available():
        pytest.skip("with a GPU torch computes")
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
