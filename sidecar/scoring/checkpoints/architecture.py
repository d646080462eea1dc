"""Limits of a checkpoint's architecture: how many outputs, how many positions, segment ids or none."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.manifest import Manifest

# Classifiers that pool the last token under `score` without being transformers' generic one.
DECODERS = {
    f"{name}ForSequenceClassification"
    for name in ("Bloom", "Falcon", "GPT2", "GPTBigCode", "GPTJ", "GPTNeo", "GPTNeoX", "Mpt", "OPT")
}
# Encoders that score padded pairs as they score them alone (`tests/scoring/test_parity.py`).
PADDED_ENCODERS = {
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta",
    "xlm-roberta",
}  # fmt: skip
# What tables of positions are called.
POSITIONS = ("position_embeddings", "wpe", "embed_positions")


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of a model that a cross-encoder needs: `positions` is None where there may be any number of them.

    A `decoder`'s score comes from one pooled position, and `segments` says whether segment ids mean anything to it.
    """

    architecture: str
    decoder: bool
    segments: bool = False
    positions: int | None = None


def check_config(directory: Path) -> None:
    """Refuse by `config.json` alone what can't be a reranker of ours, before gigabytes are read.

    Raises ModelError for a classifier with more than one output, and for a model that brings code of its own.
    """
    config = read_model_config(directory)
    if not config:
        return  # what is wrong with it, transformers says
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if config.get("model_type") not in CONFIG_MAPPING and "auto_map" in config:
        raise ModelError(
            f"{directory} needs code that lies beside its weights ({config.get('model_type')}), which is never run.",
            remedy="Use a model of an architecture that transformers has itself.",
        )
    # Two labels are transformers' default, which a saved configuration leaves out.
    labels = len(config.get("id2label") or ()) or config.get("num_labels", 2)
    if labels != 1 and any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        raise ModelError(
            f"{directory} is a classifier with {labels} outputs: which of them is relevance, it does not say.",
            remedy="A reranker has one output (num_labels 1).",
        )


def read_model_config(directory: Path) -> dict[str, Any]:
    """Read a model's `config.json`; empty where it is no JSON object that can be read."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def traits_of(model: Any) -> Traits:
    """Tell the traits of a model: its own, or those that its transformers class and configuration show."""
    own = getattr(model, "traits", None)
    if isinstance(own, Traits):
        return own
    return Traits(type(model).__name__, is_decoder(model), reads_segments(model), position_limit(model))


def reads_segments(model: Any) -> bool:
    """Whether segment ids mean anything to the model: RoBERTa has one segment, ModernBERT and DistilBERT none."""
    takes = "token_type_ids" in inspect.signature(type(model).forward).parameters
    return takes and (getattr(model.config, "type_vocab_size", None) or 0) > 1


def is_decoder(model: Any) -> bool:
    """Whether scores come from one pooled position under a linear `score` head (Llama, Mistral, Qwen, GPT-2 …)."""
    from transformers.modeling_layers import GenericForSequenceClassification

    return isinstance(model, GenericForSequenceClassification) or type(model).__name__ in DECODERS


def pads_safely(model: Any) -> bool:
    """Whether padding is known to change no score: elsewhere pairs are scored one at a time."""
    return model.config.model_type in PADDED_ENCODERS or is_decoder(model)


def position_limit(model: Any) -> int | None:
    """Tokens that a model with a table of positions can hold; None for rotary and relative ones.

    RoBERTa's table begins behind its padding index, of 514 rows 512 are positions; OPT's at an offset.
    """
    limits = [
        module.num_embeddings - getattr(module, "offset", 0 if module.padding_idx is None else module.padding_idx + 1)
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in POSITIONS and hasattr(module, "num_embeddings")
    ]
    return min(limits, default=None)


def check_length(manifest: Manifest, model: Any) -> None:
    """Raise ModelError where the manifest's limit is beyond the model's table of positions."""
    check_positions(manifest, position_limit(model), type(model).__name__)


def check_positions(manifest: Manifest, limit: int | None, architecture: str) -> None:
    """Raise ModelError where the manifest's limit is beyond an architecture's positions; None for any number."""
    if limit is not None and manifest.max_length > limit:
        raise ModelError(
            f"max_length {manifest.max_length} is beyond the {limit} positions of {architecture}.",
            remedy=f"Give at most {limit}; for longer passages there is --long-passages chunk.",
        )
