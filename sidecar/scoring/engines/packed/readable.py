"""Decide whether the packed engine can read a checkpoint: an allow-list of configuration keys and of tensors.

Transformers loads every other checkpoint, so that nothing in it is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sidecar.scoring.checkpoints.architecture import parse_model_config, read_model_config
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.precision import FP8
from sidecar.scoring.checkpoints.safetensors_io import PLAIN, stored_formats, weight_files
from sidecar.scoring.engines.packed.architectures import FAMILIES, FULL, SLIDING, unfit_architecture
from sidecar.scoring.engines.packed.fp8 import unfit_placement, unfit_sizes
from sidecar.scoring.engines.packed.weights import Shape, empty_decoder
from sidecar.scoring.engines.packed_encoders.readable import FAMILIES as ENCODERS

# Keys that the engine uses, whatever their value and the architecture: sizes, and those of the rotary frequencies.
COMPUTED = {
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings", "rope_theta", "rope_scaling",
    "rope_parameters", "model_type",
}  # fmt: skip
# Keys that change no score: training, generation, bookkeeping, and how other programs store or run the model.
# The tokenizer gives the token ids, `architecture.check_config` checks the labels, heads of a base are not read.
INERT = {
    "_attn_implementation_autoset", "_name_or_path", "architectures", "attention_dropout", "bos_token_id",
    "chunk_size_feed_forward", "classifier_dropout", "dtype", "eos_token_id", "finetuning_task", "id2label",
    "initializer_range", "is_encoder_decoder", "label2id", "max_sequence_length", "num_labels", "output_attentions",
    "output_hidden_states", "pad_token_id", "pretraining_tp", "problem_type", "return_dict", "sentence_transformers",
    "tie_word_embeddings", "tokenizer_class", "torch_dtype", "transformers_version", "unsloth_fixed",
    "unsloth_version", "use_cache",
}  # fmt: skip
# Rotary frequencies: scalings that do not depend on a text's length, and the keys that describe them.
ROPE_TYPES = ("default", "linear", "llama3")
ROPE_KEYS = {
    "rope_type", "type", "rope_theta", "factor", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings",
}  # fmt: skip
# Tensors that a classifier does not use: a causal model's head, and rotary frequencies in old checkpoints.
UNUSED = re.compile(r"lm_head\.weight|model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")


def unfit(directory: Path, placement: Placement) -> str | None:
    """Say why a checkpoint can't be packed; None if it can. Raises ModelError for a damaged file."""
    if placement.quantization not in ("none", FP8):
        return f"it does not quantise weights to {placement.quantization}"
    if placement.device_map is not None:
        return "it does not spread a model by a device_map"
    config = read_model_config(directory)
    if "model_type" not in config:
        return "its config.json can't be read"
    reason = _unfit_config(config)
    if reason is not None:
        return reason
    parsed = read_decoder_config(directory)
    return unfit_architecture(parsed) or _unfit_weights(directory, parsed) or _unfit_fp8(parsed, placement)


def _unfit_fp8(config: Any, placement: Placement) -> str | None:
    if placement.quantization != FP8:
        return None
    return unfit_sizes(Shape.of(config).parts) or unfit_placement(placement)


def read_decoder_config(directory: Path) -> Any:
    """Read the configuration of a decoder that is packed, as transformers does; its `model_type` is the file's."""
    stored = read_model_config(directory)
    config = parse_model_config(directory, read_as=FAMILIES[stored["model_type"]].read_as)
    config.model_type = stored["model_type"]
    # transformers takes a temperature for a setting of generation, and drops it.
    config.temperature = stored.get("temperature", 1.0)
    return config


def whole_name(name: str) -> str:
    """Give a tensor of a bare decoder the prefix that it has in a classifier."""
    return f"model.{name}" if name.startswith(("layers.", "embed_tokens.", "norm.")) else name


def _unfit_config(config: Mapping[str, Any]) -> str | None:
    family = FAMILIES.get(config["model_type"])
    if family is None:
        return f"it is a {config['model_type']}, which is none of {', '.join([*FAMILIES, *ENCODERS])}"
    known = COMPUTED | INERT | family.computed | family.inert | {family.activation}
    for key, value in config.items():
        if value is None or (key in known and key not in family.fixed):
            continue
        if key not in family.fixed:
            return f"its config.json sets {key}, which the engine does not know"
        if value not in family.fixed[key]:
            return f"its config.json sets {key} to {value}"
    for key in ("rope_parameters", "rope_scaling"):
        found = config.get(key) or {}
        nested = family.rotary_by_layer_type and bool(found.keys() & {FULL, SLIDING})
        for rope in [found.get(FULL) or {}, found.get(SLIDING) or {}] if nested else [found]:
            if (reason := _unfit_rope(rope)) is not None:
                return reason
        if nested and (unknown := sorted(found.keys() - {FULL, SLIDING})):
            return f"its {key} sets {unknown[0]}, which the engine does not know"
    return None


def _unfit_rope(rope: Mapping[str, Any]) -> str | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ROPE_TYPES:
        return f"its rotary frequencies are scaled by {kind}"
    unknown = sorted(rope.keys() - ROPE_KEYS)
    return f"its rotary parameters set {unknown[0]}, which the engine does not know" if unknown else None


def _unfit_weights(directory: Path, config: Any) -> str | None:
    files = weight_files(directory)
    if not all(path.is_file() for path in files):
        return f"it lacks {next(path.name for path in files if not path.is_file())}"
    if not files:
        return "it has no safetensors weights under a name that transformers reads"
    known = empty_decoder(config, dtype=torch.float32, device=torch.device("meta")).slots()
    for name, stored in stored_formats(directory).items():
        if UNUSED.fullmatch(whole_name(name)):
            continue
        if whole_name(name) not in known:
            return f"it holds the tensor {name}, which the engine does not know"
        if stored not in PLAIN:
            return f"its tensor {name} is stored as {stored}"
    return None
