"""The packed engine for encoders against plain transformers, one text at a time and without padding."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    ModernBertConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.engines.packed.attention import Varlen
from sidecar.scoring.engines.packed_encoders.engine import PackedEmbedder, PackedEncoder
from sidecar.scoring.engines.packed_encoders.forward import Forward
from sidecar.scoring.engines.packed_encoders.texts import PackedTexts
from sidecar.scoring.engines.packed_encoders.weights import encoder_of
from sidecar.scoring.prompt import Tokens
from tests.support.models.devices import DEVICES
from tests.support.models.varlen import varlen_kernel

FP32 = 1e-5
LIMIT, VOCABULARY = 64, 90
SHAPE = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
MODERN = {**SHAPE, "max_position_embeddings": LIMIT, "local_attention": 16, "global_attn_every_n_layers": 3,
          "bos_token_id": 0, "cls_token_id": 0, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 1}  # fmt: skip
BIASES = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
# ModernBERT's first layer is global, and every third after it.
CONFIGS = {
    "bert": BertConfig(**SHAPE, num_hidden_layers=3, max_position_embeddings=LIMIT),
    "bert of one layer": BertConfig(**SHAPE, num_hidden_layers=1, max_position_embeddings=LIMIT),
    "roberta": RobertaConfig(**SHAPE, num_hidden_layers=2, max_position_embeddings=LIMIT + 2, pad_token_id=1),
    "xlm-roberta": XLMRobertaConfig(
        **SHAPE, num_hidden_layers=2, max_position_embeddings=LIMIT + 8, pad_token_id=7, type_vocab_size=1
    ),
    "modernbert": ModernBertConfig(**MODERN, num_hidden_layers=4),
    "modernbert, local last layer": ModernBertConfig(**MODERN, num_hidden_layers=5),
    "modernbert, mean": ModernBertConfig(**MODERN, num_hidden_layers=3, classifier_pooling="mean"),
    "modernbert, biases": ModernBertConfig(**MODERN, num_hidden_layers=2, **BIASES),
}


def drawn(auto_class, config):
    """A model of random weights, biases and norms included, wide enough for scores to spread, and no wider: rounding
    errors grow with the weights, transformers' own too."""
    torch.manual_seed(1)
    config.num_labels = 1
    model = auto_class.from_config(config).eval()
    for name, parameter in model.named_parameters():
        parameter.data.normal_(std=0.2).add_(1.0 if parameter.dim() == 1 and name.endswith("weight") else 0.0)
    return model


def rows_of(config, lengths, seed=0):
    """Rows of random ids, the second half of each in the second segment if there are two."""
    draw = random.Random(seed)
    segments = getattr(config, "type_vocab_size", 1) > 1
    ids = [[draw.randrange(8, VOCABULARY) for _ in range(length)] for length in lengths]
    return [Tokens(row, [int(place >= len(row) / 2) for place in range(len(row))] if segments else None) for row in ids]


@torch.inference_mode()
def alone(model, row):
    types = {} if row.types is None else {"token_type_ids": torch.tensor([row.types])}
    return model(input_ids=torch.tensor([row.ids]), **types)


@pytest.fixture(scope="module", params=CONFIGS)
def classifier(request):
    return drawn(AutoModelForSequenceClassification, CONFIGS[request.param])


def cross_encoder(model):
    return Checkpoint("drawn", model, None, Manifest(pooling="model", max_length=LIMIT))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("lengths", [[2, 64, 3, 17, 17, 1, 31, 48], range(1, LIMIT + 1), [1], [LIMIT]])
def test_logits_equal_transformers_one_pair_at_a_time(classifier, lengths, device):
    rows = rows_of(classifier.config, lengths)
    expected = [alone(classifier, row).logits.item() for row in rows]
    engine = PackedEncoder(cross_encoder(classifier.to(device)))
    classifier.to("cpu")
    assert engine.logits([rows]) == [pytest.approx(expected, abs=FP32)]
    assert len(rows) < 8 or np.std(expected) > 1000 * FP32


class KernelTexts(PackedTexts):
    """Attends as on a GPU, through a stand-in for torch's kernel."""

    def _plan(self, segments, kind):
        return Varlen(partial(varlen_kernel, window_size=kind.window), segments, torch.device("cpu"))


class KernelForward(Forward):
    def _packed(self, texts):
        return KernelTexts(texts, device=self.device, dtype=self.dtype)


@pytest.mark.parametrize("mean", [False, True])
def test_the_kernel_of_a_gpu_is_given_what_each_layer_needs(classifier, mean):
    rows = rows_of(classifier.config, [2, 64, 3, 17, 17, 1, 31, 48])
    encoder = encoder_of(classifier, positions=LIMIT)
    found, expected = (way(encoder, mean=mean).pooled(rows) for way in (KernelForward, Forward))
    assert torch.allclose(found, expected, atol=FP32)


@pytest.mark.parametrize("limits", [{"batch_size": 1}, {"batch_size": 3}, {"max_tokens": 1}, {"max_tokens": 70}])
def test_how_batches_are_cut_and_ordered_changes_no_score(classifier, limits):
    rows = rows_of(classifier.config, [5, 64, 9, 31, 1, 40, 9, 2])
    checkpoint = cross_encoder(classifier)
    [expected] = PackedEncoder(checkpoint).logits([rows])
    engine = PackedEncoder(checkpoint, **limits)
    assert engine.logits([rows[:3], [], rows[3:]]) == [
        pytest.approx(expected[:3], abs=FP32), [], pytest.approx(expected[3:], abs=FP32)
    ]  # fmt: skip
    assert engine.logits([rows[::-1]]) == [pytest.approx(expected[::-1], abs=FP32)]
    assert engine.logits([[], []]) == [[], []]


def test_equal_pairs_tie_to_the_last_bit_and_other_segments_make_other_pairs():
    model = drawn(AutoModelForSequenceClassification, CONFIGS["bert"])
    [row, *others] = rows_of(model.config, [40, 64, 33, 12, 7])
    unsegmented = Tokens(row.ids, [0] * len(row))
    engine = PackedEncoder(cross_encoder(model), max_tokens=100)
    [scores] = engine.logits([[row, *others, row, unsegmented, Tokens(row.ids)]])
    assert scores[0] == scores[5] != scores[6]
    assert scores[6:] == pytest.approx([alone(model, unsegmented).logits.item()] * 2, abs=FP32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("pooling", ["mean", "first_token"])
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "modernbert, mean"])
def test_vectors_equal_transformers_one_text_at_a_time(name, pooling, device):
    model = drawn(AutoModel, CONFIGS[name])
    rows = rows_of(model.config, [2, 64, 3, 17, 17, 1, 31, 48])
    hidden = [alone(model, row).last_hidden_state[0] for row in rows]
    expected = [found.mean(0) if pooling == "mean" else found[0] for found in hidden]
    checkpoint = Checkpoint(
        "drawn", model.to(device), None, Manifest(kind="bi-encoder", pooling=pooling, max_length=LIMIT)
    )
    for engine in (
        PackedEmbedder(checkpoint),
        PackedEmbedder(checkpoint, max_tokens=20),
        PackedEmbedder(checkpoint, batch_size=1),
    ):
        for vector, one in zip(engine.vectors(rows), expected, strict=True):
            assert vector == pytest.approx(torch.nn.functional.normalize(one, dim=0).numpy(), abs=FP32)
            assert vector.dtype == np.float32
            assert vector.base is None
    assert PackedEmbedder(checkpoint).vectors([]) == []


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "modernbert, local last layer"])
def test_bf16_costs_no_more_than_it_costs_transformers(name, device):
    model = drawn(AutoModelForSequenceClassification, CONFIGS[name])
    rows = rows_of(model.config, range(1, LIMIT + 1))
    exact = torch.tensor([alone(model, row).logits.item() for row in rows])
    model = model.to(torch.bfloat16)
    rounded = torch.tensor([alone(model, row).logits.item() for row in rows])
    found = torch.tensor(PackedEncoder(cross_encoder(model.to(device))).logits([rows])[0])
    mine, theirs = ((scores - exact).square().mean().sqrt() for scores in (found, rounded))
    assert mine <= max(0.1 * exact.std(), 2 * theirs)
    assert len(set(found.tolist())) == len(rows)  # the head computes in float32
