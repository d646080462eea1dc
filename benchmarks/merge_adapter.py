"""Measure a merge of an adapter's factors into one layer of Llama-3.2-3B: whole, in parts of several sizes, and a copy.

    python -m benchmarks.merge_adapter [--device cpu] [--dtype bfloat16] [--rounds 10]

Weights and factors (rank 16) are random. `merge` is what the engine does on the device, `copy` the lower bound: each
weight read and written once. The ratios are to `whole`, median of the rounds.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections.abc import Callable
from time import perf_counter

import torch

from sidecar.bench.measures import describe_machine, synchronize
from sidecar.bench.shapes import SHAPES
from sidecar.scoring.engines.packed.lora import Factors, add_product

RANK = 16
PARTS = [2**power for power in range(16, 25, 2)]
# A merge of a weight and factors into a slot.
Merge = Callable[[torch.Tensor, Factors, torch.Tensor], object]


def shapes() -> list[tuple[int, int]]:
    """Return the matrices of one layer, rows x columns."""
    shape = SHAPES["3b"]
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    heads, keys = (shape[f"num_{name}_heads"] * shape["head_dim"] for name in ("attention", "key_value"))
    return [(heads, hidden), (keys, hidden), (keys, hidden), (hidden, heads), *2 * [(inner, hidden)], (hidden, inner)]


def in_parts(values: int | None, weight: torch.Tensor, factors: Factors, slot: torch.Tensor) -> None:
    """Merge in parts of so many values; None for the whole matrix at once."""
    rows = len(slot) if values is None else max(1, values // slot.shape[1])
    add_product(weight, factors.up * factors.scale, factors.down, slot, rows=rows)


def main() -> None:
    """Measure as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    dtype = getattr(torch, given.dtype)
    ways: dict[str, Merge] = {
        "whole": functools.partial(in_parts, None),
        "merge": lambda weight, factors, slot: factors.merge(weight, slot),
        "copy": lambda weight, _, slot: slot.copy_(weight),
        **{f"{values} values": functools.partial(in_parts, values) for values in PARTS},
    }
    torch.manual_seed(0)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(size, device=given.device)

    layer = [
        (draw(*size).to(dtype), Factors(draw(size[0], RANK), draw(RANK, size[1]), 2.0), draw(*size).to(dtype))
        for size in shapes()
    ]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for _ in range(given.rounds + 1):  # the first round allocates
            for name, way in ways.items():
                synchronize(given.device)
                began = perf_counter()
                for weight, factors, slot in layer:
                    way(weight, factors, slot)
                synchronize(given.device)
                seconds[name].append(perf_counter() - began)
    sys.stdout.write(f"{describe_machine(given.device)}, torch {torch.__version__}, {given.dtype}\n")
    for name, found in seconds.items():
        ratios = [whole / own for whole, own in zip(seconds["whole"][1:], found[1:], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        sys.stdout.write(f"{name:18}{statistics.median(found[1:]) * 1e3:9.2f} ms  x {spread}\n")


if __name__ == "__main__":
    main()
