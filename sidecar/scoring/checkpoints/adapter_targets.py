"""Which modules an adapter's settings name, and the values they give each, as peft reads them; it imports no peft.

Importing peft takes 4 s. `tests/scoring/checkpoints/test_adapter_targets.py` compares each rule with peft's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ALL_LINEAR = "all-linear"


def unclear_targets(config: Mapping[str, Any]) -> str | None:
    """Say why settings do not decide their modules; peft rejects these, or looks them up by the base's type."""
    targets, layers, pattern = (config.get(key) for key in ("target_modules", "layers_to_transform", "layers_pattern"))
    if not targets:
        return "the adapter names no target_modules"
    if isinstance(targets, str) and (layers is not None or pattern is not None):
        return "the adapter sets layers beside a pattern of target_modules"
    if pattern and layers is None:
        return "the adapter sets layers_pattern without layers_to_transform"
    return None


def is_target(config: Mapping[str, Any], path: str) -> bool:
    """True if the adapter changes the linear module at a path, such as `model.layers.0.self_attn.q_proj`."""
    whole = config.get("modules_to_save") or ()
    if _named(config.get("exclude_modules") or (), path) or any(
        re.match(rf"(?:.*\.)?{name}(?:$|\.)", path) for name in whole
    ):
        return False
    targets = config["target_modules"]
    if targets == ALL_LINEAR:
        return True
    if isinstance(targets, str) or path in targets:
        return _named(targets, path)
    return _named(targets, path) and _in_layers(config, path)


def value_for(config: Mapping[str, Any], patterns: str, path: str, default: str) -> float:
    """Return a setting of the module at a path: that of the first of `patterns` that fits it, else the `default`'s."""
    for pattern, value in (config.get(patterns) or {}).items():
        if re.match(rf"(?:.*\.)?(?:{pattern})$", path):
            return float(value)
    return float(config[default])


def _named(names: str | list[str] | tuple[()], path: str) -> bool:
    """True if a pattern fits a path, or if one of several names is the path or its end."""
    if isinstance(names, str):
        return re.fullmatch(names, path) is not None
    return any(path == name or path.endswith(f".{name}") for name in names)


def _in_layers(config: Mapping[str, Any], path: str) -> bool:
    layers = config.get("layers_to_transform")
    if layers is None or layers == []:
        return True
    patterns = config.get("layers_pattern")
    if isinstance(patterns, str) and patterns:
        patterns = [patterns]
    # The first number of a path is its layer's.
    before = [rf"(?:.*?\.)?{pattern}" for pattern in patterns] if patterns else [r".*?\.[^.]*"]
    found = next((match for one in before if (match := re.match(rf"{one}\.(?P<layer>\d+)\.", path))), None)
    if found is None:
        return False
    layer = int(found["layer"])
    return layer == layers if isinstance(layers, int) else layer in layers
