"""Sort an adapter's settings: those that our own merge computes, those that peft computes, and those refused.

Our own merge is `W + scale · B · A`. It supports the keys and values in the tables below; an adapter with any other key
or value goes through peft. A setting that peft itself can't restore from an adapter's files is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import msgspec

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.adapter_targets import unclear_targets

# Keys that our own merge uses, whatever their value.
COMPUTED = {
    "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "target_modules", "exclude_modules",
    "layers_to_transform", "layers_pattern", "modules_to_save",
}  # fmt: skip
# Keys that change no score once an adapter is trained. Base, revision, type and task are read elsewhere.
INERT = {
    "auto_mapping", "base_model_name_or_path", "eva_config", "inference_mode", "lora_dropout", "megatron_core",
    "peft_type", "peft_version", "qalora_group_size", "revision", "task_type",
}  # fmt: skip
# Initial values of the factors that leave the base unchanged; training overwrites the others.
PLAIN_START = (True, False, None, "gaussian", "eva", "orthogonal", "mica")
# Initial values that are subtracted from the base: peft subtracts them again when it loads the same base.
TAKEN_OFF = ("pissa", "olora")
# Keys that our own merge supports only with some values.
FIXED: dict[str, tuple[Any, ...]] = {"init_lora_weights": PLAIN_START, "bias": ("none",)}
# Settings that peft merges into the base exactly; an adapter with any other is kept beside the base.
MERGED = {
    "use_dora": (True, False),
    "trainable_token_indices": None,
    "fan_in_fan_out": (True, False),
    "bias": ("none", "all", "lora_only"),
    "init_lora_weights": (*PLAIN_START, *TAKEN_OFF),
}
# Keys that need something that is not in an adapter's files, and what that is.
REFUSED = {
    "alora_invocation_tokens": "an activated LoRA is for generated text: peft does not support it for SEQ_CLS",
    "arrow_config": "its router needs further adapters",
    "corda_config": "its base was changed by the activations of training data",
    "lora_ga_config": "its base was changed by the gradients of training data",
    "loftq_config": "its base was quantised together with it",
    "megatron_config": "it needs Megatron's layers",
    "use_qalora": "it needs the GPTQ base that it was trained on",
    "use_bdlora": "its blocks are for tensor-parallel servers",
}
_PATTERNS = ("target_modules", "exclude_modules", "layers_pattern", "modules_to_save", "rank_pattern", "alpha_pattern")
CONVERT = (
    "Save it with peft's path_initial_model_for_weight_conversion, which makes a plain LoRA of it, or merge it into "
    "its base and give the whole model."
)


class _Settings(msgspec.Struct):
    """The types of the settings that decide what is merged, and peft's defaults."""

    r: Annotated[int, msgspec.Meta(ge=1)] = 8
    lora_alpha: float = 8
    use_rslora: bool | None = None
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None
    target_modules: str | list[str] | None = None
    exclude_modules: str | list[str] | None = None
    modules_to_save: list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    layers_pattern: str | list[str] | None = None


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a rank and an alpha. Raises ValueError for a value of another type than peft reads."""
    found = msgspec.convert(config, _Settings)
    for name in _PATTERNS:
        patterns = getattr(found, name) or ()
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name} has {pattern!r}, which is no pattern: {error}") from None
    return {**config, "r": found.r, "lora_alpha": found.lora_alpha}


def beyond_factors(config: Mapping[str, Any]) -> str | None:
    """Name the setting that our own merge does not support; None if it supports all of them."""
    for key, value in config.items():
        if key in COMPUTED | INERT or (key in FIXED and _among(value, FIXED[key])):
            continue
        if key in FIXED or not _off(value):
            return f"the adapter sets {key} to {value}" if _short(value) else f"the adapter sets {key}"
    return unclear_targets(config)


def check_supported(config: Mapping[str, Any], directory: Path) -> None:
    """Raise ModelError for a setting that peft does not know, or can't restore from the adapter's files."""
    for key, reason in REFUSED.items():
        if not _off(config.get(key)):
            raise ModelError(f"The adapter {directory} sets {key}: {reason}.", remedy=CONVERT)
    start = config.get("init_lora_weights", True)
    if not _among(start, MERGED["init_lora_weights"] or ()):
        raise ModelError(
            f"The adapter {directory} was started by init_lora_weights {start!r}, which changed its base in a way "
            "that can't be repeated from its files.",
            remedy=CONVERT,
        )
    known = _known_to_peft()
    unknown = [key for key, value in config.items() if key not in known and not _off(value)]
    if unknown:
        version = config.get("peft_version") or "of another version"
        raise ModelError(
            f"The adapter {directory} sets {unknown[0]}, which the installed peft does not know.",
            remedy=f"It was saved by peft {version}: install that, or a newer one.",
        )


def merges(config: Mapping[str, Any]) -> bool:
    """True if peft's merged weights compute what the adapter computes; any other adapter is kept beside the base."""
    for key, value in config.items():
        values = MERGED.get(key, FIXED.get(key, ()))
        if key in COMPUTED | INERT or _off(value) or values is None or _among(value, values):
            continue
        return False
    return True


def changes_base(config: Mapping[str, Any]) -> bool:
    """True if peft subtracts the factors' initial values from the base's weights, which must then be in float32."""
    return config.get("init_lora_weights") in TAKEN_OFF


def _among(value: Any, values: tuple[Any, ...]) -> bool:
    # 1 == True in Python, but peft has no initial value 1.
    return any(value is known or (isinstance(known, str) and value == known) for known in values)


def _off(value: Any) -> bool:
    return value is None or value is False or value in ({}, [])


def _short(value: Any) -> bool:
    return isinstance(value, str | int | float) and value is not True


def _known_to_peft() -> set[str]:
    from peft import LoraConfig

    return {field.name for field in fields(LoraConfig)}
