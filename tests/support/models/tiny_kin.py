"""Tiny checkpoints of the other architectures that rerankers have: RoBERTa, ModernBERT, DeBERTa, Qwen3 in both forms.

Each has its own family's tokenizer template. Weights are drawn wide, so that scores spread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from transformers import (
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from sidecar.scoring.checkpoints.manifest import write_manifest
from sidecar.scoring.checkpoints.presets import QWEN3
from tests.support.models.tiny_models import train_bpe

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
WIDE = {"initializer_range": 0.3, "num_labels": 1}


def build_tiny_xlm_roberta(directory: Path) -> Path:
    """Of 66 rows in its table of positions 64 are positions; one segment; `<s> A </s></s> B </s>`."""
    tokenizer = train_bpe(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
    _save_tokenizer(tokenizer, directory, ["input_ids", "attention_mask"], **names)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=800, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1, **SHAPE, **WIDE
    )
    XLMRobertaForSequenceClassification(config).save_pretrained(str(directory))
    return directory


def build_tiny_modernbert(directory: Path, *, segments_in_tokenizer: bool = False) -> Path:
    """Rotary positions, local and global attention, no segments; `segments_in_tokenizer` writes them all the same."""
    names = ["input_ids", *(["token_type_ids"] if segments_in_tokenizer else []), "attention_mask"]
    _save_bert_like(directory, names)
    torch.manual_seed(0)
    wide = {"initializer_range": 0.1, "initializer_cutoff_factor": 2.0, "num_labels": 1}
    config = ModernBertConfig(
        vocab_size=800, pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2,
        local_attention=16, global_attn_every_n_layers=2, max_position_embeddings=512, **SHAPE, **wide,
    )  # fmt: skip
    model = ModernBertForSequenceClassification(config)
    model.classifier.weight.data.normal_()
    model.save_pretrained(str(directory))
    return directory


def build_tiny_deberta(directory: Path) -> Path:
    """DeBERTa v3's settings: relative positions alone, and a tokenizer with segments that the model has no use for."""
    _save_bert_like(directory, ["input_ids", "token_type_ids", "attention_mask"])
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=800, pad_token_id=0, type_vocab_size=0, relative_attention=True, position_buckets=16,
        norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False,
        max_position_embeddings=512, max_relative_positions=-1, pooler_hidden_size=32, **SHAPE, **WIDE,
    )  # fmt: skip
    DebertaV2ForSequenceClassification(config).save_pretrained(str(directory))
    return directory


def build_tiny_qwen(directory: Path, *, tied: bool = True, max_length: int = 320) -> Path:
    """A causal model with the preset's manifest beside it, and a vocabulary that holds "yes" and "no"."""
    tokenizer = save_qwen_tokenizer(directory)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(_qwen_config(len(tokenizer), tie_word_embeddings=tied))
    model.save_pretrained(str(directory))
    import msgspec

    write_manifest(msgspec.structs.replace(QWEN3, max_length=max_length), directory)
    return directory


def build_tiny_qwen_classifier(directory: Path) -> Path:
    """The same prompt before a score head of its own."""
    import msgspec

    tokenizer = save_qwen_tokenizer(directory)
    torch.manual_seed(1)
    model = Qwen3ForSequenceClassification(_qwen_config(len(tokenizer), num_labels=1))
    model.score.weight.data.normal_()
    model.save_pretrained(str(directory))
    write_manifest(msgspec.structs.replace(QWEN3, max_length=320, yes_token=None, no_token=None), directory)
    return directory


BUILDERS = {
    "xlm-roberta": build_tiny_xlm_roberta,
    "modernbert": build_tiny_modernbert,
    "deberta": build_tiny_deberta,
    "qwen": build_tiny_qwen,
    "qwen-untied": lambda directory: build_tiny_qwen(directory, tied=False),
    "qwen-classifier": build_tiny_qwen_classifier,
}


def _save_bert_like(directory: Path, input_names: list[str]) -> None:
    tokenizer = train_bpe(["[PAD]", "[CLS]", "[SEP]", "[UNK]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    _save_tokenizer(tokenizer, directory, input_names, **names)


def save_qwen_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    tokenizer = train_bpe(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], seen=["yes", "no", "1", "0"] * 500)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    names = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    return _save_tokenizer(tokenizer, directory, ["input_ids", "attention_mask"], **names)


def _save_tokenizer(tokenizer: Any, directory: Path, input_names: list[str], **names: str) -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=input_names, **names)
    fast.save_pretrained(str(directory))
    return fast


def _qwen_config(vocabulary: int, **more: Any) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=vocabulary, num_key_value_heads=2, head_dim=8, max_position_embeddings=512, initializer_range=0.3,
        pad_token_id=0, eos_token_id=2, bos_token_id=None, **SHAPE, **more,
    )  # fmt: skip
