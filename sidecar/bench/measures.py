"""Measures of a forward pass: useful floating-point operations, the machine's matmul peak, memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from sidecar.scoring.checkpoints.architecture import is_decoder
from sidecar.scoring.checkpoints.precision import HEADS
from sidecar.scoring.hardware import cpu_name

# The side of the square matrices for the peak: large enough that arithmetic limits the speed.
_SIDE = {"cpu": 1536}
_SIDE_GPU = 8192
_REPEATS = 5


def useful_flops(model: Any, lengths: Sequence[int]) -> float:
    """Return the floating-point operations for pairs of these lengths, each alone and without padding.

    Two for each weight of a linear layer and token, and 4 · length² · width for each layer's attention, half of it
    for causal attention. Embeddings, norms and the score head, which reads one row of a pair, are left out.
    """
    config = model.config
    weights = sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not set(name.split(".")) & set(HEADS)
    )
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    squares = config.num_hidden_layers * width * (2 if is_decoder(model) else 4)
    return float(sum(2 * weights * length + squares * length**2 for length in lengths))


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the floating-point operations a second of the best of a few products of large square matrices."""
    side = _SIDE.get(device.type, _SIDE_GPU)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(_REPEATS):
        synchronize(device)
        began = perf_counter()
        left @ right
        synchronize(device)
        best = min(best, perf_counter() - began)
    return 2 * side**3 / best


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Memory:
    """Bytes in use: on a GPU those that torch has allocated, elsewhere the process's resident set.

    None if the system does not report them (a CPU's peak is read from Linux's /proc).
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> int | None:
        """Return the bytes in use now."""
        return torch.cuda.memory_allocated(self._device) if self._device.type == "cuda" else _status("VmRSS")

    def peak(self) -> int | None:
        """Return the most bytes in use since `forget`."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else _status("VmHWM")

    def forget(self) -> None:
        """Start a new peak."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _status("VmHWM") is not None:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: reset the peak resident set


def describe_machine(device: torch.device) -> str:
    """Describe the device: a GPU by name, a CPU by its model, the threads torch uses, and its vector instructions."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{cpu_name()}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def _status(field: str) -> int | None:
    found = [line.split()[1] for line in _lines(Path("/proc/self/status")) if line.startswith(f"{field}:")]
    return int(found[0]) * 1024 if found else None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
