"""Limits of a checkpoint's architecture: the number of outputs and positions, and whether it has segment ids."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.manifest import Manifest

# Classifiers that pool the last token under `score` but do not use transformers' generic class.
DECODERS = {
    f"{name}ForSequenceClassification"
    for name in ("Bloom", "Falcon", "GPT2", "GPTBigCode", "GPTJ", "GPTNeo", "GPTNeoX", "Mpt", "OPT")
}
# Encoders whose scores do not change with padding (`tests/scoring/test_parity.py`).
PADDED_ENCODERS = {
    "albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta",
    "xlm-roberta",
}  # fmt: skip
# Names of position embedding tables.
POSITIONS = ("position_embeddings", "wpe", "embed_positions")


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of a model that a cross-encoder needs: `positions` is None if their number has no limit.

    A `decoder`'s score comes from one pooled position, and `segments` says whether the model uses segment ids. With
    `one_text` query and passage may be written as one text, without the special tokens that encoders need.
    """

    architecture: str
    decoder: bool
    segments: bool = False
    positions: int | None = None
    one_text: bool = False


def check_config(directory: Path, *, own_code: str | None = None) -> None:
    """Refuse a checkpoint that can't be a reranker, by `config.json` alone, before gigabytes are read.

    `own_code` is the `model_type` of a model whose own code the caller replaces. Raises ModelError for a classifier
    with more than one output, and for a model with its own code.
    """
    config = read_model_config(directory)
    if not config:
        return  # transformers reports what is wrong with it
    if config.get("model_type") != own_code and (own := _own_code(config)):
        raise ModelError(
            f"{directory} needs code that lies beside its weights ({own}), which is never run.",
            remedy="Use a model of an architecture that transformers has itself.",
        )
    # Two labels are transformers' default, which a saved configuration omits.
    labels = len(config.get("id2label") or ()) or config.get("num_labels", 2)
    if labels != 1 and any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        raise ModelError(
            f"{directory} is a classifier with {labels} outputs, and does not say which of them is relevance.",
            remedy="A reranker has one output (num_labels 1).",
        )


def _own_code(config: dict[str, Any]) -> str:
    """Return what a model with code of its own calls itself; "" for one that transformers has.

    A model may have the type of an architecture of transformers and a class of its own, such as a Llama with attention
    in both directions. transformers would load it as that architecture, with other scores.
    """
    if "auto_map" not in config:
        return ""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind, known = str(config.get("model_type")), dir(transformers)
    if kind not in CONFIG_MAPPING:
        return kind
    return next((name for name in config.get("architectures") or () if name not in known), "")


def read_model_config(directory: Path) -> dict[str, Any]:
    """Read a model's `config.json`; empty if it can't be read as a JSON object."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def parse_model_config(directory: Path, *, read_as: str | None = None) -> Any:
    """Return a model's configuration as transformers reads it, with defaults for what the file omits.

    `read_as` is another `model_type`, for one that transformers does not know. Raises ModelError for values that
    transformers does not take.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    try:
        if read_as is not None:
            known = read_model_config(directory)
            return CONFIG_MAPPING[read_as].from_dict({**known, "model_type": read_as})
        return AutoConfig.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, StrictDataclassError) as error:
        raise ModelError(
            f"The config.json of {directory} can't be used: {error}", remedy="Fetch or save the checkpoint again."
        ) from error


def traits_of(model: Any) -> Traits:
    """Return the traits of a model: its own, or those of its transformers class and configuration."""
    own = getattr(model, "traits", None)
    if isinstance(own, Traits):
        return own
    return Traits(type(model).__name__, is_decoder(model), reads_segments(model), position_limit(model))


def reads_segments(model: Any) -> bool:
    """True if the model uses segment ids: RoBERTa has only one segment, ModernBERT and DistilBERT have none."""
    takes = "token_type_ids" in inspect.signature(type(model).forward).parameters
    return takes and (getattr(model.config, "type_vocab_size", None) or 0) > 1


def is_decoder(model: Any) -> bool:
    """True if scores come from one pooled position under a linear `score` head (Llama, Mistral, Qwen, GPT-2 …)."""
    from transformers.modeling_layers import GenericForSequenceClassification

    return isinstance(model, GenericForSequenceClassification) or type(model).__name__ in DECODERS


def pads_safely(model: Any) -> bool:
    """True if padding is known to change no score; with any other model pairs are scored one at a time."""
    return model.config.model_type in PADDED_ENCODERS or is_decoder(model)


def position_limit(model: Any) -> int | None:
    """Return how many tokens a model with a position table can hold; None for rotary and relative positions.

    RoBERTa's table begins after its padding index: 512 of its 514 rows are positions. OPT's begins at an offset.
    """
    limits = [
        module.num_embeddings - getattr(module, "offset", 0 if module.padding_idx is None else module.padding_idx + 1)
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in POSITIONS and hasattr(module, "num_embeddings")
    ]
    return min(limits, default=None)


def check_slot(manifest: Manifest, window: int | None) -> None:
    """Raise ModelError for pooling `last_slot` in a model whose attention sees fewer than `max_length` tokens back.

    The slot is at the end of the padding, so it would see only a part of a text, or nothing.
    """
    if manifest.pooling == "last_slot" and window is not None and window < manifest.max_length:
        raise ModelError(
            f"Pooling 'last_slot' does not go with attention in a window of {window} tokens.",
            remedy=f"Use pooling last_token in the checkpoint's sidecar.json, or a max_length of at most {window}.",
        )


def attention_window(config: Any) -> int | None:
    """Return the smallest window that a decoder's layers attend in, by transformers' configuration; None if none has.

    A window counts the token itself.
    """
    layers = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None)
    if layers is not None and not {"sliding_attention", "local"} & set(layers):
        return None
    window = getattr(config, "sliding_window", None) or getattr(config, "window_size", None)
    return window if isinstance(window, int) else None


def check_length(manifest: Manifest, model: Any) -> None:
    """Raise ModelError if the manifest's limit is beyond the model's position table."""
    check_positions(manifest, position_limit(model), type(model).__name__)


def check_positions(manifest: Manifest, limit: int | None, architecture: str) -> None:
    """Raise ModelError if the manifest's limit is beyond an architecture's positions; None means no limit."""
    if limit is not None and manifest.max_length > limit:
        raise ModelError(
            f"max_length {manifest.max_length} is beyond the {limit} positions of {architecture}.",
            remedy=f"Give at most {limit}; for longer passages use --long-passages chunk.",
        )
