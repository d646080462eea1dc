"""Which encoders the packed engine computes: what it does not know is refused by name, and left to transformers."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest
from sidecar.scoring.engines.packed_encoders.readable import find_obstacle, packs_encoder
from sidecar.scoring.loading import load_scorer
from tests.support.models.tiny_zoo import build_base
from tests.support.models.values import values

FP32 = 1e-5
QUERY = "which passage holds the words of a query"
ALL = ("bert", "roberta", "xlm-roberta", "modernbert")


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    return {name: build_base(name, tmp_path_factory.mktemp("base") / name) for name in ALL}


@pytest.fixture
def changed(bases, tmp_path):
    """Copy a checkpoint with other keys in its config.json."""

    def copy(name, **changes):
        directory = shutil.copytree(bases[name], tmp_path / "changed")
        path = directory / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return directory

    return copy


def loaded(directory, **options):
    return load_scorer(str(directory), device="cpu", **options)


@pytest.mark.parametrize("kind", ["cross-encoder", "bi-encoder"])
@pytest.mark.parametrize("name", ALL)
def test_by_name_it_computes_what_transformers_computes(bases, tmp_path, passages, name, kind):
    directory = bases[name]
    if kind == "bi-encoder":
        directory = shutil.copytree(directory, tmp_path / "embedder")
        write_manifest(Manifest(kind=kind, pooling="mean", max_length=100), directory)
    packed, plain = (loaded(directory, engine=engine) for engine in ("packed", "transformers"))
    assert (packed.engine_name, plain.engine_name) == ("packed", "transformers")
    assert find_obstacle(plain.checkpoint) is None
    assert values(packed, QUERY, passages) == pytest.approx(values(plain, QUERY, passages), abs=FP32)


def test_auto_packs_on_a_cpu_what_has_no_faster_engine_there(bases):
    assert loaded(bases["modernbert"]).engine_name == "packed"
    checkpoint = loaded(bases["bert"], engine="transformers").checkpoint
    assert packs_encoder(checkpoint, "auto")
    assert not packs_encoder(checkpoint, "transformers")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_auto_leaves_a_gpu_without_the_kernel_to_transformers(bases, dtype):
    """Torch has no kernel of variable lengths for this device, in any dtype."""
    checkpoint = loaded(bases["bert"], engine="transformers").checkpoint
    checkpoint.model.to("meta", dtype)
    assert not packs_encoder(checkpoint, "auto")
    assert packs_encoder(checkpoint, "packed")


# Keys of published checkpoints beside those that transformers writes: multilingual BERT, bge-reranker-base, ModernBERT.
PUBLISHED = {
    "bert": {"directionality": "bidi", "pooler_fc_size": 768, "pooler_type": "first_token_transform",
             "position_embedding_type": "absolute", "gradient_checkpointing": False},
    "xlm-roberta": {"output_past": True, "position_embedding_type": "absolute", "torch_dtype": "float32"},
    "modernbert": {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "global_attn_every_n_layers": 3,
                   "layer_norm_eps": 1e-5, "position_embedding_type": "absolute", "repad_logits_with_grad": False,
                   "reference_compile": True, "gradient_checkpointing": False, "decoder_bias": True},
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_keys_of_published_checkpoints_are_known(changed, name):
    assert loaded(changed(name, **PUBLISHED[name]), engine="packed").engine_name == "packed"


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("bert", {"hidden_act": "relu"}, "sets hidden_act to relu"),
        ("roberta", {"is_decoder": True}, "sets is_decoder to True"),
        ("xlm-roberta", {"position_embedding_type": "relative_key"}, "sets position_embedding_type to relative_key"),
        ("bert", {"chunk_size_feed_forward": 2}, "sets chunk_size_feed_forward to 2"),
        ("bert", {"a_key_of_tomorrow": 1}, "sets a_key_of_tomorrow, which the engine does not know"),
        ("modernbert", {"a_key_of_tomorrow": False}, "sets a_key_of_tomorrow, which the engine does not know"),
        ("modernbert", {"hidden_activation": "silu"}, "sets hidden_activation to silu"),
        ("modernbert", {"classifier_activation": "relu"}, "sets classifier_activation to relu"),
        (
            "modernbert",
            {"rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            }},
            "its rotary frequencies are scaled by linear",
        ),
    ],
)  # fmt: skip
def test_a_key_that_it_does_not_know_is_refused_by_name_and_left_to_transformers(changed, name, changes, reason):
    directory = changed(name, **changes)
    with pytest.raises(ConfigurationError, match=f"The packed engine can't run .*{reason}"):
        loaded(directory, engine="packed")
    plain = loaded(directory, engine="transformers")
    assert reason in find_obstacle(plain.checkpoint)
    assert not packs_encoder(plain.checkpoint, "auto")


@pytest.mark.parametrize("kind", ["cross-encoder", "bi-encoder"])
def test_other_architectures_are_refused_by_name(tiny_kin, tmp_path, kind):
    directory = tiny_kin("deberta")
    if kind == "bi-encoder":
        directory = shutil.copytree(directory, tmp_path / "embedder")
        write_manifest(Manifest(kind=kind, pooling="mean", max_length=100), directory)
    with pytest.raises(
        ConfigurationError, match=r"can't run .*(deberta-v2|DebertaV2).*one of .*xlm-roberta, modernbert\."
    ):
        loaded(directory, engine="packed")
    assert loaded(directory).engine_name == "transformers"


def test_models_in_other_forms_are_refused(bases):
    checkpoint = loaded(bases["bert"], engine="transformers").checkpoint
    checkpoint.model.bert.pooler.to(torch.bfloat16)
    assert "in several dtypes" in find_obstacle(checkpoint)
    checkpoint.model.bert.extra = torch.nn.Linear(2, 2)
    assert "it has the weight bert.extra.weight" in find_obstacle(checkpoint)
    with pytest.raises(ConfigurationError, match="it is compiled by torch"):
        loaded(bases["bert"], engine="packed", compile="before")


def test_torchs_other_copy_of_the_weights_is_freed(bases):
    scorer = loaded(bases["modernbert"], engine="packed")
    assert {parameter.device.type for parameter in scorer.checkpoint.model.parameters()} == {"meta"}
    assert len(values(scorer, QUERY, [Passage("", "a"), Passage("", "b")])) == 2


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_not_finite_is_no_score(changed, value):
    directory = changed("modernbert")
    tensors = load_file(directory / "model.safetensors")
    tensors["classifier.bias"].fill_(float(value))
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    scorer = loaded(directory, engine="packed")
    assert not torch.tensor(scorer.engine.logits([scorer.prompt.pairs(QUERY, [Passage("", "a")])])).isfinite().any()
