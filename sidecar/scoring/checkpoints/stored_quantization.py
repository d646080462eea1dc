"""Quantised weights on disk: what the `quantization_config` of a config.json needs on this machine.

transformers reads them if the library of their method is installed. What it would skip with a warning is refused.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sidecar.core.errors import ConfigurationError, ModelError
from sidecar.scoring.checkpoints.architecture import read_model_config
from sidecar.scoring.checkpoints.precision import HEADS, INSTALL_BITSANDBYTES
from sidecar.scoring.checkpoints.safetensors_io import stored_formats

BITSANDBYTES = "bitsandbytes"
# Keys of the configuration; the second is compressed-tensors' older name.
KEYS = ("quantization_config", "compression_config")


def check_stored_quantization(directory: Path, asked: str) -> str | None:
    """Return the method that a checkpoint's weights are stored with; None for plain weights.

    `asked` is the setting `quantization`. Raises ModelError for a method that transformers does not know or that
    needs a library that is not installed, ConfigurationError if the setting contradicts the checkpoint.
    """
    found = _stored(directory)
    if found is None:
        return None
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    method = _method(found)
    stored = "4bit" if found.get("load_in_4bit") else "8bit" if found.get("load_in_8bit") else str(method)
    if asked not in ("none", stored):
        raise ConfigurationError(
            f"The weights of {directory} are stored as {stored}, so they can't be quantised to {asked}.",
            remedy="Use quantization none, which takes them as they are stored.",
        )
    if method == BITSANDBYTES and not installed(BITSANDBYTES):
        raise ModelError(
            f"The weights of {directory} are stored by bitsandbytes ({stored}), which is not installed.",
            remedy=f"{INSTALL_BITSANDBYTES}, or use a checkpoint with plain weights.",
        )
    known = {name.removesuffix("_4bit").removesuffix("_8bit") for name in AUTO_QUANTIZATION_CONFIG_MAPPING}
    if method not in known:
        raise ModelError(
            f"The weights of {directory} are quantised by a method that transformers does not know: {method}.",
            remedy=f"Use a checkpoint with plain weights, or one stored by {', '.join(sorted(known))}.",
        )
    return method


def with_plain_head(directory: Path) -> Any:
    """Return the configuration of a bitsandbytes checkpoint, changed so that a missing score head is not quantised.

    None if the checkpoint leaves the choice to transformers, which does not quantise the head.
    """
    skipped = (_stored(directory) or {}).get("llm_int8_skip_modules")
    if skipped is None:
        return None
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False, num_labels=1)
    stored = {name.partition(".")[0] for name in stored_formats(directory)}
    config.quantization_config["llm_int8_skip_modules"] = [*skipped, *_absent(HEADS, stored)]
    return config


def installed(library: str) -> bool:
    """True if a library can be imported; it is not imported."""
    return importlib.util.find_spec(library) is not None


def _absent(heads: Iterable[str], stored: set[str]) -> list[str]:
    return [head for head in heads if head not in stored]


def _stored(directory: Path) -> dict[str, Any] | None:
    config = read_model_config(directory)
    return next((config[key] for key in KEYS if config.get(key)), None)


def _method(found: dict[str, Any]) -> str | None:
    return BITSANDBYTES if found.get("load_in_4bit") or found.get("load_in_8bit") else found.get("quant_method")
