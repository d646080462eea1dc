"""Parity with plain transformers and peft, one pair at a time: what the model card computes."""

from __future__ import annotations

import shutil

import msgspec
import pytest
import torch

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError, ModelError, NonFiniteScore
from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest
from sidecar.scoring.cross_encoder import CrossEncoder
from sidecar.scoring.loading import load_scorer
from tests.support.models.reference import load_reference, score_one, score_one_cut_apart
from tests.support.models.values import values

FP32 = 1e-5
QUERY = "which passage holds the words of a query"
LONG_QUERY = "why does a query that goes on and on " * 30


@pytest.fixture(scope="module")
def reference(tiny_llama):
    base, adapter = tiny_llama
    return load_reference(adapter, base=base)


@pytest.fixture(scope="module", params=["transformers", "packed"])
def scorer(request, tiny_llama):
    return load_scorer(str(tiny_llama[1]), device="cpu", engine=request.param)


def with_manifest(scorer, **changes):
    checkpoint = scorer.checkpoint
    manifest = msgspec.structs.replace(checkpoint.manifest, **changes)
    return CrossEncoder(Checkpoint("changed", checkpoint.model, checkpoint.tokenizer, manifest))


def spread(scores):
    return torch.tensor(scores).std().item()


@pytest.mark.parametrize("query", [QUERY, LONG_QUERY, "<|end_of_text|>", "ü"])
def test_last_token_equals_the_card_one_pair_at_a_time(scorer, reference, passages, query):
    expected = [score_one(*reference, query, p.title, p.text) for p in passages]
    assert values(scorer, query, passages) == pytest.approx(expected, abs=FP32)
    assert [values(scorer, query, [p])[0] for p in passages] == pytest.approx(expected, abs=FP32)
    assert spread(expected) > 1000 * FP32


@pytest.mark.parametrize("query", [QUERY, LONG_QUERY])
def test_last_slot_equals_padding_to_the_limit_with_the_pad_id_unset_or_0(scorer, reference, passages, query):
    tokenizer, model = reference
    scores = values(with_manifest(scorer, pooling="last_slot"), query, passages)
    for pad_token_id in (None, 0):
        model.config.pad_token_id = pad_token_id
        expected = [score_one(tokenizer, model, query, p.title, p.text, pad_to_limit=True) for p in passages]
        model.config.pad_token_id = None
        assert scores == pytest.approx(expected, abs=FP32)


def test_the_two_poolings_differ_where_there_are_pads(scorer):
    short, full = Passage("", "short"), Passage("", "so long that it fills the limit. " * 60)
    token, slot = scorer, with_manifest(scorer, pooling="last_slot")
    assert abs(values(token, QUERY, [short])[0] - values(slot, QUERY, [short])[0]) > 1000 * FP32
    assert values(token, QUERY, [full]) == pytest.approx(values(slot, QUERY, [full]), abs=FP32)


@pytest.mark.parametrize("query", [QUERY, LONG_QUERY])
@pytest.mark.parametrize("pooling", ["last_token", "last_slot"])
def test_sides_cut_apart_equal_the_authors_script(scorer, reference, passages, query, pooling):
    pad_to = {"last_token": None, "last_slot": 228}[pooling]
    expected = [score_one_cut_apart(*reference, query, p.title, p.text, pad_to=pad_to) for p in passages]
    scores = values(with_manifest(scorer, truncation="separate", pooling=pooling), query, passages)
    assert scores == pytest.approx(expected, abs=FP32)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 128])
def test_the_batch_size_changes_no_score(scorer, passages, batch_size):
    batched = CrossEncoder(scorer.checkpoint, batch_size=batch_size)
    assert values(batched, QUERY, passages) == pytest.approx(values(scorer, QUERY, passages), abs=FP32)


def test_the_cards_helper_can_still_be_chosen_and_scores_the_same(tiny_llama, scorer, passages):
    card = load_scorer(str(tiny_llama[1]), device="cpu", engine="card", batch_size=3)
    assert card.engine.name == "card" != scorer.engine.name
    assert values(card, QUERY, passages) == pytest.approx(values(scorer, QUERY, passages), abs=FP32)


def test_an_engine_that_there_is_not_is_refused(tiny_llama):
    with pytest.raises(ConfigurationError, match="no engine 'warp'"):
        load_scorer(str(tiny_llama[1]), device="cpu", engine="warp")


def test_bf16_stays_within_a_twentieth_of_the_spread(tiny_llama, passages):
    base, adapter = tiny_llama
    ours = values(load_scorer(str(adapter), device="cpu", dtype="bfloat16"), QUERY, passages)
    exact = load_reference(adapter, base=base)
    card = load_reference(adapter, base=base, dtype=torch.bfloat16)
    in_fp32 = [score_one(*exact, QUERY, p.title, p.text) for p in passages]
    in_bf16 = [score_one(*card, QUERY, p.title, p.text) for p in passages]
    sigma = spread(in_fp32)
    assert ours == pytest.approx(in_fp32, abs=0.05 * sigma)
    assert ours == pytest.approx(in_bf16, abs=0.05 * sigma)


def test_the_adapter_matters(tiny_llama, scorer, passages):
    on = values(scorer, QUERY, passages)
    off = values(load_scorer(str(tiny_llama[1]), device="cpu", adapter=False), QUERY, passages)
    changes = [abs(a - b) for a, b in zip(on, off, strict=True)]
    assert sorted(changes)[len(changes) // 2] > 10 * 0.05 * spread(on)
    assert sorted(range(len(on)), key=on.__getitem__) != sorted(range(len(off)), key=off.__getitem__)


def test_the_base_alone_is_scored_with_the_adapters_head(tiny_llama, passages):
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base, adapter = tiny_llama
    tokenizer = AutoTokenizer.from_pretrained(str(base), split_special_tokens=True)
    model = AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1)
    model = PeftModel.from_pretrained(model, str(adapter)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
    expected = [score_one(tokenizer, model, QUERY, p.title, p.text) for p in passages]
    off = values(load_scorer(str(adapter), device="cpu", adapter=False), QUERY, passages)
    assert off == pytest.approx(expected, abs=FP32)


def test_a_full_checkpoint_scores_as_the_adapter_it_was_merged_from(reference, scorer, passages, tmp_path):
    tokenizer, model = reference
    model.save_pretrained(str(tmp_path))
    tokenizer.save_pretrained(str(tmp_path))
    full = load_scorer(str(tmp_path), device="cpu")
    assert values(full, QUERY, passages) == pytest.approx(values(scorer, QUERY, passages), abs=FP32)


def test_a_manifest_beside_the_adapter_decides(tiny_llama, scorer, passages, tmp_path):
    base, adapter = tiny_llama
    copy = tmp_path / "adapter"
    shutil.copytree(adapter, copy)
    write_manifest(Manifest(pooling="last_slot", max_length=64), copy)
    moved = load_scorer(str(copy), base_model=str(base), device="cpu", engine=scorer.engine.name)
    scores = values(moved, QUERY, passages)
    assert scores == values(with_manifest(scorer, pooling="last_slot", max_length=64), QUERY, passages)


def test_a_device_map_changes_no_score(tiny_llama, scorer, passages):
    mapped = load_scorer(str(tiny_llama[1]), device_map={"": "cpu"})
    assert values(mapped, QUERY, passages) == pytest.approx(values(scorer, QUERY, passages), abs=FP32)


def test_a_bert_cross_encoder_equals_transformers(tiny_bert, passages):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_bert), split_special_tokens=True)
    model = AutoModelForSequenceClassification.from_pretrained(str(tiny_bert)).eval()

    def score(passage):
        document = f"{passage.title} {passage.text}".strip()
        inputs = tokenizer([QUERY], [document], return_tensors="pt", truncation=True, max_length=512)
        with torch.inference_mode():
            return model(**inputs).logits.item()

    expected = [score(passage) for passage in passages]
    scorer = load_scorer(str(tiny_bert), device="cpu")
    assert values(scorer, QUERY, passages) == pytest.approx(expected, abs=FP32)
    assert scorer.checkpoint.manifest.max_length == 512
    assert spread(expected) > 1000 * FP32


def test_no_passages_no_scores(scorer):
    assert values(scorer, QUERY, []) == []


def test_what_computes_for_a_llama_is_the_packed_engine_unless_told_otherwise(tiny_llama):
    assert load_scorer(str(tiny_llama[1]), device="cpu").engine.name == "packed"


def test_nan_is_an_error_and_never_a_rank(tiny_llama):
    broken = load_scorer(str(tiny_llama[1]), device="cpu")
    broken.checkpoint.model.head[0, 0] = float("nan")
    with pytest.raises(NonFiniteScore, match="2 of 2 passages"):
        values(broken, QUERY, [Passage("", "a"), Passage("", "b")])


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_is_an_error_too(tiny_llama, value):
    broken = load_scorer(str(tiny_llama[1]), device="cpu")
    broken.checkpoint.model.head[0, 0] = value
    with pytest.raises(NonFiniteScore):
        values(broken, QUERY, [Passage("", "a")])


def test_pooling_that_the_architecture_does_not_have_is_refused(scorer):
    with pytest.raises(ModelError, match="'model' does not go with LlamaForSequenceClassification"):
        with_manifest(scorer, pooling="model")


def test_an_encoder_is_not_given_a_text_without_its_special_tokens(tiny_bert):
    manifest = Manifest(truncation="body", pooling="model")
    model = load_scorer(str(tiny_bert), device="cpu", engine="transformers").checkpoint
    with pytest.raises(ModelError, match="'body' does not go with BertForSequenceClassification"):
        CrossEncoder(Checkpoint("prompted", model.model, model.tokenizer, manifest))
