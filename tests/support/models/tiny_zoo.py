"""Tiny classifiers of many architectures, and LoRA adapters of many settings on them: random weights, drawn wide."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import processors
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from sidecar.scoring.checkpoints.quiet import quiet_libraries
from tests.support.models.tiny_models import build_tokenizer, draw_vectors, train_bpe

ROWS, WIDTH = 808, 32
# Sizes by the names that families of architectures have for them.
USUAL = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
GROUPED = {**USUAL, "num_key_value_heads": 2, "head_dim": 8}
GPT = {"n_embd": WIDTH, "n_layer": 2, "n_head": 4, "n_positions": 256}
SEGMENTS = {"type_vocab_size": 2, "embedding_size": WIDTH}

DECODERS: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 12},
    "qwen2": {**USUAL, "num_key_value_heads": 2},
    "qwen3": {**GROUPED, "use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1},
    "gemma": GROUPED,
    "gemma2": {**GROUPED, "sliding_window": 12, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 2.0},
    "gemma3_text": {**GROUPED, "sliding_window": 12, "query_pre_attn_scalar": 20, "sliding_window_pattern": 2},
    "gpt2": GPT,
    "gpt_neox": USUAL,
    "opt": {**USUAL, "ffn_dim": 64, "word_embed_proj_dim": WIDTH},
    "bloom": {"hidden_size": WIDTH, "n_layer": 2, "n_head": 4},
    "falcon": USUAL,
    "gptj": {**GPT, "rotary_dim": 4},
    "gpt_neo": {"hidden_size": WIDTH, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]],
                "window_size": 16},
    "gpt_bigcode": GPT,
    "mpt": {"d_model": WIDTH, "n_layers": 2, "n_heads": 4},
}  # fmt: skip
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {**USUAL, "type_vocab_size": 2},
    "roberta": {**USUAL, "type_vocab_size": 1},
    "xlm-roberta": {**USUAL, "type_vocab_size": 1},
    "camembert": {**USUAL, "type_vocab_size": 1},
    "electra": {**USUAL, **SEGMENTS},
    "albert": {**USUAL, **SEGMENTS, "num_hidden_groups": 1},
    "distilbert": {"dim": WIDTH, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "mpnet": USUAL,
    "modernbert": {**USUAL, "global_attn_every_n_layers": 2, "local_attention": 16},
    "deberta-v2": {**USUAL, "relative_attention": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm",
                   "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
                   "type_vocab_size": 0, "pooler_hidden_size": WIDTH},
    "deberta": {**USUAL, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
                "type_vocab_size": 0, "pooler_hidden_size": WIDTH},
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """How an adapter is made: `lora` goes to LoraConfig, `edit` changes the adapter_config.json that was written.

    `refused` is in the message of whoever can't restore it, empty where it is right. `factors` says whether the packed
    engine merges it.
    """

    lora: Mapping[str, Any] = field(default_factory=dict)
    edit: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""
    factors: bool = False


def started(name: str, *, refused: str = "", factors: bool = False) -> Setting:
    return Setting({"init_lora_weights": name}, refused=refused, factors=factors)


NOT_REPEATED = "can't be repeated from its files"
SETTINGS: dict[str, Setting] = {
    "plain": Setting(factors=True),
    "rslora": Setting({"use_rslora": True}, factors=True),
    "patterns": Setting({"rank_pattern": {"1": 2}, "alpha_pattern": {"0": 5}}, factors=True),
    "layer 1": Setting({"layers_to_transform": [1]}, factors=True),
    "gaussian": started("gaussian", factors=True),
    "orthogonal": started("orthogonal", factors=True),
    "eva": started("eva", factors=True),
    "mica": started("mica", factors=True),
    "no start": Setting({"init_lora_weights": False}, factors=True),
    "no head": Setting({"task_type": None}, factors=True),
    "all linear": Setting({"target_modules": "all-linear"}, factors=True),
    "pissa": started("pissa"),
    "olora": started("olora"),
    "dora": Setting({"use_dora": True}),
    "lora bias": Setting({"lora_bias": True}),
    "bias all": Setting({"bias": "all"}),
    "bias lora": Setting({"bias": "lora_only"}),
    "embeddings": Setting({"target_modules": ["EMBEDDINGS", "LINEAR"]}),
    "head": Setting({"target_modules": ["HEAD", "LINEAR"], "task_type": None}),
    "tokens": Setting({"trainable_token_indices": [5, 6, 7]}),
    "embeddings whole": Setting({"modules_to_save": ["EMBEDDINGS"]}),
    "fan in": Setting({"fan_in_fan_out": True}, factors=True),  # peft writes False for modules that are linear
    "layers twice": Setting({"layer_replication": [[0, 2], [1, 2]]}),
    "kasa": Setting({"kasa_config": {}}),
    "velora": Setting({"velora_config": {}}),
    "monteclora": Setting({"monteclora_config": {}}),
    "tied": Setting({"ensure_weight_tying": True}),
    "pissa niter": started("pissa_niter_4", refused=NOT_REPEATED),
    "corda": Setting(edit={"init_lora_weights": "corda"}, refused=NOT_REPEATED),
    "lora ga": Setting(edit={"init_lora_weights": "lora_ga"}, refused=NOT_REPEATED),
    "loftq": Setting(edit={"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4}}, refused="loftq_config"),
    "alora": Setting({"alora_invocation_tokens": [5, 6]}, refused="alora_invocation_tokens"),
    "qalora": Setting(edit={"use_qalora": True}, refused="use_qalora"),
    "tomorrow": Setting(edit={"key_of_tomorrow": 3}, refused="key_of_tomorrow, which the installed peft does not know"),
}


def build_base(name: str, directory: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Save a classifier with a head, and a tokenizer; that of a decoder has no pad token."""
    torch.manual_seed(0)
    decoder = name in DECODERS
    sizes = DECODERS[name] if decoder else ENCODERS[name]
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": None if decoder else 0}
    if name in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        ids["pad_token_id"] = 1  # positions begin behind it
    limits = {} if "n_positions" in sizes or name in ("bloom", "mpt") else {"max_position_embeddings": 256}
    config = AutoConfig.for_model(name, vocab_size=ROWS, num_labels=1, **ids, **limits, **sizes)
    model = AutoModelForSequenceClassification.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=0.15)
    draw_vectors(model)
    with quiet_libraries():
        model.to(dtype).save_pretrained(str(directory))
    (build_tokenizer if decoder else _encoder_tokenizer)(directory)
    return directory


def build_adapter(base: Any, directory: Path, setting: Setting, *, seed: int = 3) -> Path:
    """Save an adapter of a classifier in memory. Raises what peft raises for one that it can't make."""
    torch.manual_seed(seed)
    model = copy.deepcopy(base)
    lora = {"task_type": "SEQ_CLS", "r": 4, "lora_alpha": 8, "target_modules": ["LINEAR"]} | dict(setting.lora)
    named = {"EMBEDDINGS": _name_of(model, model.get_input_embeddings()), "LINEAR": linear_name(model)}
    named["HEAD"] = "score" if hasattr(model, "score") else "classifier"
    for key in ("target_modules", "modules_to_save"):
        if isinstance(lora.get(key), list):
            lora[key] = [named.get(name, name) for name in lora[key]]
    with quiet_libraries():
        adapted = get_peft_model(model, LoraConfig(**lora))
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data.add_(torch.randn_like(parameter) * 0.1)
        adapted.save_pretrained(str(directory), save_embedding_layers=False)
    path = directory / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(setting.edit)))
    return directory


def linear_name(model: Any) -> str:
    """The name of a linear module that every layer has: the first of the last layer."""
    from transformers.pytorch_utils import Conv1D

    inner = model.base_model
    paths = [name for name, module in inner.named_modules() if isinstance(module, torch.nn.Linear | Conv1D)]
    return next(name for name in paths if ".0." in f".{name}").rpartition(".")[2]


def _name_of(model: Any, wanted: Any) -> str:
    return next(name for name, module in model.named_modules() if module is wanted).rpartition(".")[2]


def _encoder_tokenizer(directory: Path) -> None:
    tokenizer = train_bpe(["[CLS]", "[PAD]", "[SEP]", "[UNK]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(str(directory))  # fmt: skip
