"""Decide whether the packed engine can compute an encoder: allow-lists of configuration keys and of weights.

The encoder is a transformers model with its adapter merged. It computes every model that is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.architecture import read_model_config
from sidecar.scoring.checkpoints.encoder_model import DECISIVE, SILENT, SIZES, WEIGHT_NAMES, EncoderModel
from sidecar.scoring.checkpoints.pretrained import is_quantized
from sidecar.scoring.engines.names import PACKED

if TYPE_CHECKING:
    from sidecar.scoring.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Family:
    """The facts that the engine needs of an architecture.

    `sizes` are configuration keys that it computes with, whatever their value; `values` are those that it knows with
    some values only; `inert` are those that change no score. `weights` matches the names of all weights that it reads.
    """

    sizes: frozenset[str]
    values: Mapping[str, tuple[Any, ...]]
    inert: frozenset[str]
    weights: re.Pattern[str]


# Keys that transformers does not read, or only before its forward pass; published checkpoints have them.
_INERT = SILENT | {
    "model_type", "output_past", "finetuning_task", "_attn_implementation_autoset", "pooler_fc_size",
    "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
    "sbert_ce_default_activation_function",
}  # fmt: skip
_BERT = Family(
    sizes=frozenset(SIZES),
    values={key: values for key, values in DECISIVE.items() if key != "model_type"} | {"is_encoder_decoder": (False,)},
    inert=_INERT,
    weights=WEIGHT_NAMES,
)
_MODERNBERT = Family(
    sizes=frozenset({
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "norm_eps",
        "norm_bias", "attention_bias", "mlp_bias", "classifier_bias", "layer_types", "local_attention",
        "rope_parameters", "max_position_embeddings",
    }),
    values={
        "hidden_activation": ("gelu",),
        "classifier_activation": ("gelu",),
        "classifier_pooling": ("cls", "mean"),
        "position_embedding_type": ("absolute", None),
        "chunk_size_feed_forward": (0, None),
        "is_encoder_decoder": (False,),
    },
    # `layer_types` and `rope_parameters` already contain what the older keys say.
    inert=_INERT | {
        "cls_token_id", "sep_token_id", "initializer_cutoff_factor", "attention_dropout",
        "embedding_dropout", "mlp_dropout", "decoder_bias", "deterministic_flash_attn", "sparse_prediction",
        "sparse_pred_ignore_index", "global_attn_every_n_layers", "layer_norm_eps", "repad_logits_with_grad",
        "reference_compile",
    },
    weights=re.compile(
        r"""
        (model\.)?
        ( embeddings\.(tok_embeddings\.weight | norm\.(weight|bias))
        | layers\.\d+\.(attn_norm | mlp_norm | attn\.(Wqkv|Wo) | mlp\.(Wi|Wo))\.(weight|bias)
        | final_norm\.(weight|bias)
        )
        | head\.(dense|norm)\.(weight|bias)
        | classifier\.(weight|bias)
        """,
        re.VERBOSE,
    ),
)  # fmt: skip
FAMILIES = {"bert": _BERT, "roberta": _BERT, "xlm-roberta": _BERT, "modernbert": _MODERNBERT}
# The kernels of attention take heads of a multiple of this many values.
HEAD_MULTIPLE = 8


def is_encoder(directory: Path) -> bool:
    """True if a checkpoint is of an architecture that is packed here. Loads no torch."""
    return read_model_config(directory).get("model_type") in FAMILIES


def packs_encoder(checkpoint: Checkpoint, engine: str) -> bool:
    """True if the packed engine computes an encoder: `engine` names it, or is `auto` and transformers is slower.

    It is slower on a CPU, and on a GPU where torch has a kernel for packed attention. Raises ConfigurationError if
    `engine` names the packed one and it can't compute the checkpoint.
    """
    if engine not in ("auto", PACKED) or isinstance(checkpoint.model, EncoderModel):
        return False
    reason = find_obstacle(checkpoint)
    if engine == "auto":
        return reason is None and (checkpoint.model.device.type == "cpu" or _has_kernel(checkpoint.model))
    if reason is not None:
        raise ConfigurationError(
            f"The packed engine can't run {checkpoint.name!r}: {reason}.", remedy="Use the engine auto or transformers."
        )
    return True


def find_obstacle(checkpoint: Checkpoint) -> str | None:
    """Say why the engine can't compute a checkpoint, which holds a transformers model; None if it can."""
    model = checkpoint.model
    config: dict[str, Any] = model.config.to_dict()
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        return f"its architecture is {type(model).__name__}, not one of {', '.join(FAMILIES)}"
    return _unknown_key(config, family) or _scaled_rotation(config) or _unknown_weight(model, family)


def _has_kernel(model: Any) -> bool:
    from sidecar.scoring.engines.packed.attention import varlen_kernel
    from sidecar.scoring.engines.packed_encoders.weights import BIDIRECTIONAL

    return varlen_kernel(model.device, model.dtype, BIDIRECTIONAL) is not None


def _unknown_key(config: Mapping[str, Any], family: Family) -> str | None:
    for key, value in config.items():
        if key in family.values:
            if value not in family.values[key]:
                return f"its config.json sets {key} to {value}"
        elif key not in family.sizes | family.inert and value is not None:
            return f"its config.json sets {key}, which the engine does not know"
    return None


def _scaled_rotation(config: Mapping[str, Any]) -> str | None:
    kinds = {str(rope["rope_type"]) for rope in (config.get("rope_parameters") or {}).values() if rope}
    return next((f"its rotary frequencies are scaled by {kind}" for kind in sorted(kinds - {"default"})), None)


def _unknown_weight(model: Any, family: Family) -> str | None:
    if is_quantized(model):
        return "its weights are quantised"
    if model._compiled_call_impl is not None:  # noqa: SLF001  torch offers no public sign of it
        return "it is compiled by torch"
    weights = dict(model.named_parameters())
    strange = next((name for name in weights if not family.weights.fullmatch(name)), None)
    if strange is not None:
        return f"it has the weight {strange}, which the engine does not know"
    if len({(weight.device, weight.dtype) for weight in weights.values()}) > 1:
        return "its weights are on several devices or in several dtypes"
    size = model.config.hidden_size // model.config.num_attention_heads
    if size % HEAD_MULTIPLE and model.device.type != "cpu":
        return f"its heads have {size} values, not a multiple of {HEAD_MULTIPLE}"
    return None
