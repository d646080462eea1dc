"""Files beside an adapter's factors: its tokenizer, new tokens, a head or none; and folders that hold no model."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sidecar.core.candidates import Passage
from sidecar.core.errors import GatedModel, ModelError, ModelNotFound
from sidecar.scoring import loading
from sidecar.scoring.adapter_registry import AdapterRegistry
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.loading import Located, load_scorer, locate_base
from tests.support.models.tiny_models import BOS, EOS
from tests.support.models.values import values

QUERY, PASSAGES = "a query", [Passage("", "word " * length) for length in range(1, 6)]


@pytest.fixture
def adapter(tiny_llama, tmp_path):
    return shutil.copytree(tiny_llama[1], tmp_path / "adapter")


def with_eos(base, directory):
    """Save a tokenizer that appends eos, as some training scripts do."""
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    ids = [(name, tokenizer.convert_tokens_to_ids(name)) for name in (BOS, EOS)]
    pair = f"{BOS} $A {BOS}:1 $B:1 {EOS}:1"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{BOS} $A", pair=pair, special_tokens=ids)
    tokenizer.save_pretrained(str(directory))
    return tokenizer


@torch.inference_mode()
def plain(base, adapter, tokenizer):
    model = AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1, dtype=torch.float32)
    model.resize_token_embeddings(max(len(tokenizer), model.config.vocab_size), mean_resizing=False)
    model = PeftModel.from_pretrained(model, str(adapter)).eval()
    texts = [(f"query: {QUERY}", f"document: {passage.title} {passage.text}") for passage in PASSAGES]
    return [model(**tokenizer(*pair, return_tensors="pt")).logits.item() for pair in texts]


def test_the_tokenizer_beside_an_adapter_is_the_adapters(tiny_llama, adapter):
    without = values(load_scorer(str(adapter), device="cpu"), QUERY, PASSAGES)
    expected = plain(tiny_llama[0], adapter, with_eos(tiny_llama[0], adapter))
    for engine in ("packed", "transformers"):
        found = values(load_scorer(str(adapter), device="cpu", engine=engine), QUERY, PASSAGES)
        assert found == pytest.approx(expected, abs=1e-5)
    assert max(abs(one - other) for one, other in zip(without, expected, strict=True)) > 0.01


def test_each_adapter_of_a_registry_has_its_own_tokenizer(tiny_llama, adapter):
    expected = plain(tiny_llama[0], adapter, with_eos(tiny_llama[0], adapter))
    registry = AdapterRegistry(tiny_llama[0], Placement("cpu"))
    registry.load("eos", adapter)
    registry.load("plain", tiny_llama[1])
    assert values(registry.scorer("eos"), QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)
    alone = values(load_scorer(str(tiny_llama[1]), device="cpu"), QUERY, PASSAGES)
    assert values(registry.scorer("plain"), QUERY, PASSAGES) == alone


def test_settings_of_a_tokenizer_without_one_are_refused(tiny_llama, adapter):
    shutil.copy(tiny_llama[0] / "tokenizer_config.json", adapter)
    with pytest.raises(ModelError, match=r"tokenizer_config\.json but not the tokenizer that it belongs to"):
        load_scorer(str(adapter), device="cpu")


@pytest.mark.parametrize("embeddings", [True, False])
def test_an_adapter_with_new_tokens_needs_their_embeddings(tiny_llama, tmp_path, embeddings):
    tokenizer = AutoTokenizer.from_pretrained(str(tiny_llama[0]))
    tokenizer.add_tokens(["word", "query"])
    model = AutoModelForSequenceClassification.from_pretrained(str(tiny_llama[0]), num_labels=1)
    torch.manual_seed(5)
    model.resize_token_embeddings(len(tokenizer))
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", target_modules=["q_proj"]))
    adapted.save_pretrained(str(tmp_path / "new"), save_embedding_layers=embeddings)
    tokenizer.save_pretrained(str(tmp_path / "new"))
    if not embeddings:
        with pytest.raises(ModelError, match="writes token ids up to .* and the model has embeddings for"):
            load_scorer(str(tmp_path / "new"), device="cpu")
        return
    expected = plain(tiny_llama[0], tmp_path / "new", tokenizer)
    scorer = load_scorer(str(tmp_path / "new"), device="cpu")
    assert values(scorer, QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)


@pytest.fixture
def trained(tiny_llama, tmp_path):
    """Directory of a Llama with a score head of its own."""
    shutil.copytree(tiny_llama[0], tmp_path / "trained")
    model = AutoModelForSequenceClassification.from_pretrained(str(tiny_llama[0]), num_labels=1)
    torch.manual_seed(1)
    model.score.weight.data.normal_(std=0.3)
    model.save_pretrained(str(tmp_path / "trained"))
    return tmp_path / "trained"


def test_a_lora_without_a_head_takes_that_of_a_trained_base(tiny_models, tiny_llama, trained, tmp_path):
    lora = tiny_models.build_adapter(trained, tmp_path / "lora", seed=4, task_type=None)
    expected = plain(trained, lora, AutoTokenizer.from_pretrained(str(trained)))
    for engine in ("packed", "transformers"):
        scorer = load_scorer(str(lora), device="cpu", engine=engine)
        assert values(scorer, QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)
    registry = AdapterRegistry(trained, Placement("cpu"))
    registry.load("headless", lora)
    registry.load("with a head", tiny_llama[1])
    assert values(registry.scorer("headless"), QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)
    other = values(registry.scorer("with a head"), QUERY, PASSAGES)
    assert other == values(load_scorer(str(tiny_llama[1]), device="cpu"), QUERY, PASSAGES)
    assert values(registry.scorer("headless"), QUERY, PASSAGES) == pytest.approx(expected, abs=1e-5)


def test_a_head_that_was_not_saved_is_the_trained_bases(adapter, trained):
    file = adapter / "adapter_model.safetensors"
    save_file({key: tensor for key, tensor in load_file(file).items() if "score" not in key}, file)
    found = [
        values(load_scorer(str(adapter), base_model=str(trained), device="cpu", engine=engine), QUERY, PASSAGES)
        for engine in ("packed", "transformers")
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    head = load_file(trained / "model.safetensors")["score.weight"]
    scorer = load_scorer(str(adapter), base_model=str(trained), device="cpu", engine="transformers")
    assert torch.equal(scorer.checkpoint.model.score.weight, head)


def test_a_headless_lora_on_a_headless_base_is_refused_by_every_way(tiny_models, tiny_llama, trained, tmp_path):
    lora = tiny_models.build_adapter(trained, tmp_path / "lora", seed=4, task_type=None)
    for engine in ("packed", "transformers"):
        with pytest.raises(ModelError, match=r"lacks the weights score\.weight"):
            load_scorer(str(lora), base_model=str(tiny_llama[0]), device="cpu", engine=engine)
    with pytest.raises(ModelError, match=r"lacks the weights score\.weight"):
        AdapterRegistry(tiny_llama[0], Placement("cpu")).load("headless", lora)


def test_a_gated_base_may_be_replaced_by_a_mirror(adapter, monkeypatch):
    def gated(*_, **__):
        raise GatedModel("It is gated.", remedy="Accept its licence.")

    monkeypatch.setattr(loading, "fetch", gated)
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "meta-llama/Llama-3.2-3B"}))
    with pytest.raises(GatedModel) as caught:
        locate_base(Located("mine", adapter, None), None)
    assert "A mirror with the same weights is named by its directory" in caught.value.remedy
    assert "`--base-model DIR`" in caught.value.remedy


def test_a_folder_without_a_model_says_so(tiny_bert, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match="There is no model in .*empty: it is empty"):
        load_scorer(str(tmp_path / "empty"))
    shutil.copytree(tiny_bert, tmp_path / "runs/checkpoint-500")
    with pytest.raises(ModelNotFound, match=r"neither config\.json nor adapter_config\.json is there") as caught:
        load_scorer(str(tmp_path / "runs"))
    assert caught.value.remedy == "Name one of the folders in it: checkpoint-500."
