"""Load a transformers model from a directory, and account for every tensor: used, known to be unused, or refused.

The libraries fill missing tensors with random numbers, ignore unknown ones, and only warn.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.quiet import quiet_libraries
from sidecar.scoring.checkpoints.safetensors_io import stored_formats
from sidecar.scoring.checkpoints.scaled_rows import load_scaled_rows, stores_scaled_rows
from sidecar.scoring.checkpoints.stored_quantization import BITSANDBYTES, check_stored_quantization, with_plain_head

if TYPE_CHECKING:
    from sidecar.scoring.checkpoints.checkpoint import Placement

# Tensors that a model's forward pass does not use: heads of the base's earlier tasks, the pooler of an encoder whose
# classifier reads the hidden states, masks in old GPT checkpoints.
UNUSED = re.compile(
    r"""
      (lm_head|embed_out|cls|predictions|lm_predictions|mask_predictions|generator_predictions|generator_lm_head
      |discriminator_predictions|vocab_transform|vocab_layer_norm|vocab_projector|sop_classifier|qa_outputs
      |pred_layer)\..*
    | decoder\.(weight|bias)
    | (\w+\.)?pooler\..*
    | (.*\.)?(attn|attention|self_attention)\.(bias|masked_bias)
    | (.*\.)?rotary_emb\.inv_freq
    | (.*\.)?position_ids
    """,
    re.VERBOSE,
)
# Number formats that are not weights without a scale beside them.
FEW_BITS = ("I8", "U8", "I16", "U16")
# A bare encoder does not use its classifier either.
CLASSIFIER = re.compile(r"(classifier|score|head|dropout|pre_classifier)\..*")


def load_pretrained(
    auto_class: Any, directory: Path, placement: Placement, *, dtype: Any, bare: bool = False, **kwargs: Any
) -> tuple[Any, set[str]]:
    """Load a model by one of transformers' auto classes, and say which of its weights the directory lacks.

    `dtype` is torch's, or `auto` for the stored one; it applies to plain weights only. `bare` is for a model
    without its head. Raises ModelError for a format other than safetensors, for weights of other shapes than
    `config.json` says, and for tensors that the model would not use.
    """
    if not any(directory.glob("*.safetensors")):
        raise ModelError(f"{directory} holds no safetensors weights.", remedy="Save the model with save_pretrained.")
    from huggingface_hub.errors import StrictDataclassError

    method = check_stored_quantization(directory, placement.quantization)
    how = placement.weights()
    load = _load
    if method is not None:
        how, dtype = {"device_map": placement.device_map or {"": placement.torch_device()}}, placement.torch_dtype()
    elif stores_scaled_rows(directory):
        load = load_scaled_rows
    else:
        _check_formats(directory)
    if method == BITSANDBYTES and (config := with_plain_head(directory)) is not None:
        kwargs = {name: value for name, value in kwargs.items() if name != "num_labels"} | {"config": config}
    try:
        with quiet_libraries():
            model, info = load(auto_class, directory, dtype=dtype, **how, **kwargs)
    except ImportError as error:
        raise ModelError(
            f"The weights of {directory} are stored by {method or 'a library'} that is not usable here: {error}",
            remedy="Install what it names, or use a checkpoint with plain weights.",
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, StrictDataclassError) as error:
        raise ModelError(
            f"The checkpoint {directory} can't be loaded: {error}",
            remedy="It must be a transformers model with one output (num_labels 1), in safetensors.",
        ) from error
    unused = sorted(key for key in info["unexpected_keys"] if not _is_unused(key, bare=bare))
    if unused or info["mismatched_keys"] or info["error_msgs"]:
        named = ", ".join(unused[:4]) or str(info["mismatched_keys"] or info["error_msgs"])
        raise ModelError(
            f"{directory} holds tensors that {type(model).__name__} does not use: {named}: its scores would change.",
            remedy="If they are scales of quantised weights, config.json must have the quantization_config that they "
            "were stored with. Otherwise use a model of an architecture that transformers has.",
        )
    return model, set(info["missing_keys"])


def _load(auto_class: Any, directory: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    found: tuple[Any, dict[str, Any]] = auto_class.from_pretrained(
        str(directory),
        output_loading_info=True,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        **options,
    )
    return found


def is_quantized(model: Any) -> bool:
    """True if weights are quantised, whether they were stored so or quantised by bitsandbytes at loading."""
    return bool(getattr(model, "is_quantized", False))


def _check_formats(directory: Path) -> None:
    few = [name for name, stored in stored_formats(directory).items() if stored in FEW_BITS and not UNUSED.match(name)]
    if few:
        raise ModelError(
            f"{directory} stores {few[0]} in few bits, and its config.json does not say how to read them.",
            remedy="Save it with the quantization_config that the weights were made with, or with plain weights.",
        )


def _is_unused(key: str, *, bare: bool) -> bool:
    return bool(UNUSED.fullmatch(key) or (bare and CLASSIFIER.fullmatch(key)))
