"""Merge a LoRA into numpy arrays: `W + scale · B A`, in float32. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sidecar.scoring.checkpoints.adapter_settings import beyond_factors

# Settings of our own merge that need torch: with them the factors differ from module to module.
UNEVEN = ("rank_pattern", "alpha_pattern", "layers_to_transform", "layers_pattern")


def merges_plainly(config: Mapping[str, Any]) -> bool:
    """True if an adapter has only factors of one rank and one scale, and modules saved whole."""
    return beyond_factors(config) is None and not any(config.get(name) for name in UNEVEN)


def merged(
    tensors: Mapping[str, np.ndarray], factors: Mapping[str, np.ndarray], config: Mapping[str, Any]
) -> dict[str, np.ndarray] | None:
    """Merge the factors of an adapter, and replace the modules that it saves whole.

    None if a factor has no partner, no matrix or another shape.
    """
    rank = config["r"]
    scale = np.float32(config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank))
    found = dict(tensors)
    for name, array in factors.items():
        place, _, part = name.partition(".lora_")
        if not part:
            found[name] = np.ascontiguousarray(array, dtype=np.float32)
            continue
        if part not in ("A.weight", "B.weight"):
            return None
        if part == "B.weight":
            continue
        up, weight = factors.get(f"{place}.lora_B.weight"), tensors.get(f"{place}.weight")
        if up is None or weight is None or up.shape[1] != array.shape[0] or array.shape[0] != rank:
            return None
        update = up.astype(np.float32) @ array.astype(np.float32)
        if update.shape != weight.shape:
            return None
        found[f"{place}.weight"] = weight + scale * update
    ups = {name for name in factors if name.endswith(".lora_B.weight")}
    whole = {name.replace("lora_B", "lora_A") for name in ups} <= factors.keys()
    return found if whole else None
