"""The options of a benchmark run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a measurement.

    With `quantization`, the engine that has such weights is measured too, with them. `pairs` None
    uses made-up texts; `model` and `shape` None use the embedded model with a head drawn by `seed`.
    """

    pairs: Path | None = None
    model: str | None = None
    shape: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantization: str = "none"
    minutes: float = 5.0
    rounds: int = 10
    seed: int = 0
    scaling: bool = False
