"""Tiny checkpoints of the real shapes, built on the spot and saved as any other: for tests, never for use.

`build_tiny_llama` makes what the model card has: a causal base without a score head, and a LoRA adapter (r 16, alpha
32, seven targets, SEQ_CLS) that brings the head. LoRA B and the head are random, so that scores spread and the adapter
matters; the base is drawn flat, so that bfloat16 alone moves no score by more than 0.02 to 0.05 σ (six seeds tried;
0.025 with the default one).
"""

from __future__ import annotations

import inspect
import json
import random
import string
import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
TARGETS = ["q_proj", "v_proj", "k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_bpe(special: list[str], *, seen: Sequence[str] = ()) -> Tokenizer:
    """Byte-level BPE with Llama-3's pre-tokenizer; `special` get the first ids, `seen` is read beside docstrings."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    documents = [
        inspect.getdoc(thing) or ""
        for module in (inspect, json, random, string, textwrap, Path)
        for thing in vars(module).values()
    ]
    tokenizer.train_from_iterator([*documents, *seen], trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def build_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """Save a byte-level BPE with Llama-3's pre-tokenizer, pair template (bos A bos B) and no pad token."""
    tokenizer = train_bpe([BOS, EOS])
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
            ),
        ]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, model_input_names=["input_ids", "attention_mask"]
    )
    fast.save_pretrained(str(directory))
    return fast


def build_tiny_llama(
    directory: Path,
    *,
    seed: int = 2,
    hidden_size: int = 64,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    rope: dict[str, object] | None = None,
    dtype: torch.dtype = torch.float32,
    family: str = "llama",
    **more: object,
) -> tuple[Path, Path]:
    """Save `base` and `adapter` under a directory and return both paths.

    `family` is the `model_type` of another decoder of the same sizes, and `more` are settings of its own.
    """
    base, adapter = directory / "base", directory / "adapter"
    logging.disable_progress_bar()
    tokenizer = build_tokenizer(base)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=hidden_size // heads,
        max_position_embeddings=512,
        initializer_range=0.05,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        **({} if rope is None else {"rope_parameters": rope}) | more,
    )
    model = AutoModelForCausalLM.from_config(config)
    if family != "llama":
        draw_vectors(model)
        # transformers has tokenizer classes of some families, which add a pad token of their own.
        tokenizer.pad_token = tokenizer.eos_token
        tokenizer.save_pretrained(str(base))
    model.to(dtype).save_pretrained(str(base))
    build_adapter(base, adapter)
    return base, adapter


def draw_vectors(model: torch.nn.Module) -> None:
    """Add noise to biases and norms, which a new model has at zero or one."""
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(torch.randn_like(parameter) * 0.1)


def build_adapter(base: Path, adapter: Path, *, seed: int | None = None, **changes: object) -> Path:
    """Save a LoRA adapter of a Llama with the card's settings, or with some `changes`, and return its path."""
    if seed is not None:
        torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1, dtype=torch.float32)
    settings = {"r": 16, "lora_alpha": 32, "target_modules": TARGETS, "lora_dropout": 0.05, "bias": "none"}
    lora = LoraConfig(**{"task_type": "SEQ_CLS"} | settings | changes)
    adapted = get_peft_model(model, lora)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.08)
            if "score" in name and "modules_to_save" in name:
                parameter.normal_(std=0.15)
    adapted.save_pretrained(str(adapter))
    return adapter


def build_tiny_bert(directory: Path, *, seed: int = 0) -> Path:
    """Save a BERT cross-encoder with one output, with its tokenizer."""
    torch.manual_seed(seed)
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *string.ascii_lowercase,
        *string.digits,
        *string.punctuation,
    ]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase + string.digits]
    directory.mkdir(parents=True, exist_ok=True)
    BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, model_max_length=512).save_pretrained(
        str(directory)
    )
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        initializer_range=0.3,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(str(directory))
    return directory
