"""The oracle: plain transformers and peft, one pair at a time, as the model card of DeAR-3B-RankNet-LoRA does it.

It is slow and independent of the package: the tests compare the scorers with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def load_reference(adapter: Path, *, base: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Load as the card does: the base's tokenizer (pad = eos if it has none), base in `dtype`, LoRA merged."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    # split_special_tokens is the only difference: with the card's code a document's text could end its own pair.
    tokenizer = AutoTokenizer.from_pretrained(str(base), split_special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=1, dtype=dtype)
    return tokenizer, PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().eval()


@torch.inference_mode()
def score_one(
    tokenizer: Any,
    model: Any,
    query: str,
    title: str,
    passage: str,
    *,
    max_length: int = 228,
    pad_to_limit: bool = False,
) -> float:
    """Score one pair, cut jointly. `pad_to_limit` pads to `max_length`, as the card's single-pair example does.

    The model's pad id decides which position is pooled: if it is unset, the last slot, with or without padding.
    """
    inputs = tokenizer(
        f"query: {query}",
        f"document: {title} {passage}",
        return_tensors="pt",
        truncation=True,
        max_length=max_length,
        padding="max_length" if pad_to_limit else False,
        padding_side="right",
    )
    return float(model(**inputs).logits.squeeze().item())


@torch.inference_mode()
def score_one_cut_apart(
    tokenizer: Any,
    model: Any,
    query: str,
    title: str,
    passage: str,
    *,
    limits: tuple[int, int] = (32, 196),
    pad_to: int | None = None,
) -> float:
    """Score one pair, each side cut separately as in the authors' TREC script; `pad_to` pads with eos to a length."""
    head = tokenizer.encode(f"query: {query}", add_special_tokens=False, max_length=limits[0], truncation=True)
    tail = tokenizer.encode(
        f"document: {title} {passage}", add_special_tokens=False, max_length=limits[1] - 3, truncation=True
    )
    ids = [tokenizer.bos_token_id, *head, tokenizer.bos_token_id, *tail]
    pads = max(0, (pad_to or 0) - len(ids))
    input_ids = torch.tensor([ids + [tokenizer.eos_token_id] * pads])
    mask = torch.tensor([[1] * len(ids) + [0] * pads])
    return float(model(input_ids=input_ids, attention_mask=mask).logits.squeeze().item())
