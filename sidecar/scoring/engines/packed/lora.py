"""LoRA factors: read, checked against the base's shapes, and merged into its weights.

A merged weight is `W + scale · up · down`, computed in float32 from the stored W and cast once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from sidecar.scoring.checkpoints.adapter_settings import beyond_factors
from sidecar.scoring.checkpoints.adapter_targets import is_target, value_for
from sidecar.scoring.checkpoints.lora_adapter import (
    PREFIX,
    WEIGHTS,
    check_fit,
    mismatch,
    read_config,
    read_tensors,
)
from sidecar.scoring.checkpoints.safetensors_io import open_tensors
from sidecar.scoring.engines.packed.weights import FUSED

HEAD = "score.weight"
# Values of a product that a merge computes at once on a CPU: 1 MB in float32, which stays in a core's cache
# (`benchmarks/merge_adapter.py`).
CACHED = 2**18
PROJECTIONS = tuple(name for names in FUSED.values() for name in names)


@dataclass(frozen=True, slots=True)
class Factors:
    """The change of one matrix: `up` (out x rank), `down` (rank x in) and their scale."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float

    def merge(self, weight: torch.Tensor, slot: torch.Tensor) -> None:
        """Write the merged `weight` into `slot`, on the slot's device."""
        up, down = (factor.to(slot.device).float() for factor in (self.up, self.down))
        # Scaled before the multiplication: afterwards it would be a third of all the memory traffic.
        up, weight = up * self.scale, weight.to(slot.device)
        # A GPU has a kernel to start for each part.
        rows = max(1, CACHED // slot.shape[1]) if slot.device.type == "cpu" else len(slot)
        add_product(weight, up, down, slot, rows=rows)


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter's factors by the name of the tensor they change, and its score head (1 x hidden), if it brings one."""

    factors: Mapping[str, Factors]
    head: torch.Tensor | None

    def on(self, device: torch.device) -> Lora:
        """Return a copy on another device."""
        factors = {
            name: Factors(found.up.to(device), found.down.to(device), found.scale)
            for name, found in self.factors.items()
        }
        return Lora(factors, None if self.head is None else self.head.to(device))

    @property
    def bytes(self) -> int:
        """Return the memory that factors and head take."""
        tensors = [tensor for found in self.factors.values() for tensor in (found.up, found.down)]
        return sum(tensor.nbytes for tensor in (*tensors, self.head) if tensor is not None)


def add_product(weight: torch.Tensor, up: torch.Tensor, down: torch.Tensor, slot: torch.Tensor, *, rows: int) -> None:
    """Write `weight + up · down` into `slot`, some rows at a time.

    The float32 product of a whole matrix would be written to memory and read again: two thirds of the traffic of a
    merge in bfloat16. That of a few rows stays in a cache.
    """
    product = torch.empty(min(rows, len(slot)), slot.shape[1], dtype=torch.float32, device=slot.device)
    for own, factor, target in zip(*(torch.split(tensor, rows) for tensor in (weight, up, slot)), strict=True):
        torch.add(own, torch.mm(factor, down, out=product[: len(factor)]), out=target)


def read_lora(directory: Path, shapes: Mapping[str, tuple[int, ...]], *, base: str) -> Lora:
    """Read an adapter for a base with modules of these shapes; `base` is its name for messages.

    Raises AdapterMismatch if the two do not fit together.
    """
    tensors, config = read_tensors(directory), read_config(directory)
    recorded = str(config.get("base_model_name_or_path"))
    check_fit(shapes, tensors, recorded, base)
    if (head := tensors.get(HEAD)) is not None and tuple(head.shape) != shapes["score"]:
        raise mismatch(recorded, base, f"{HEAD} is {shapes['score']}, the adapter's {tuple(head.shape)}")
    adapted = {key.partition(".lora_")[0] for key in tensors if ".lora_" in key}
    strange = sorted(adapted - shapes.keys())
    if strange:
        raise mismatch(recorded, base, f"it has no {strange[0]}")
    unnamed = sorted(path for path in adapted if not is_target(config, path))
    if unnamed:
        raise mismatch(recorded, base, f"its adapter_config.json does not name {unnamed[0]}, whose factors it holds")
    named = {path for path in shapes if path.endswith(PROJECTIONS) and is_target(config, path)}
    missing = sorted(named - adapted)
    if missing:
        raise mismatch(recorded, base, f"it has no weights for {missing[0]}")
    factors = {}
    for path in sorted(adapted):
        up, down = (tensors.get(f"{path}.lora_{side}.weight") for side in "BA")
        rank = value_for(config, "rank_pattern", path, "r")
        alpha = value_for(config, "alpha_pattern", path, "lora_alpha")
        if up is None or down is None or not up.shape[1] == down.shape[0] == rank:
            raise mismatch(recorded, base, f"its factors for {path} are not of the rank {rank:g} it states")
        factors[f"{path}.weight"] = Factors(up, down, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))
    return Lora(factors, tensors.get(HEAD))


def unfit_adapter(directory: Path) -> str | None:
    """Say what an adapter has besides factors for a decoder's projections; None if it has nothing else."""
    reason = beyond_factors(read_config(directory))
    if reason is not None:
        return reason
    endings = tuple(f"{name}.lora_{side}.weight" for name in PROJECTIONS for side in "AB")
    with open_tensors(directory / WEIGHTS) as file:
        other = [key for key in file.keys() if not (key.endswith(endings) or key == f"{PREFIX}{HEAD}")]  # noqa: SIM118
    return f"the adapter changes {other[0]}" if other else None
