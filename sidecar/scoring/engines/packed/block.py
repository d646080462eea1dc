"""One layer's arithmetic on packed rows, without attention: the steps before and after it.

They are pure functions of tensors, so that they can be compiled. Rounding is as in transformers: norms in float32,
cast, then multiplied by their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import linear, pad, silu

from sidecar.scoring.engines.packed.weights import Llama, Shape

Multiply = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# Rows of a tile in the invariant mode: enough for a GPU's tensor cores, and little waste on a CPU.
TILE = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """The two halves of a layer. T rows, H query and G key heads of D values each.

    - `enter(x, norm, weight, cos, sin)`: rows (T x hidden), normalised and multiplied by qkv's rows (or only the key's
      and value's), to queries and keys rotated by their positions (T x (H + G) x D, or T x G x D), and values
      (T x G x D).
    - `leave(x, attended, out, norm, gate_up, down)`: rows and their attended heads (T x H · D) to the layer's output.
    """

    pre_attention: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    post_attention: Callable[..., torch.Tensor]


def steps_of(shape: Shape, multiply: Multiply = linear) -> Steps:
    """Make the steps for a shape; `multiply` is `torch.nn.functional.linear` or does the same."""

    def pre_attention(
        x: torch.Tensor, norm: torch.Tensor, weight: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        values = multiply(rms_norm(x, norm, shape.epsilon), weight)
        heads = torch.unflatten(values, -1, (-1, shape.head_size))
        return rotate(heads[:, : -shape.kv_heads], cos, sin), heads[:, -shape.kv_heads :]

    def post_attention(  # noqa: PLR0913, PLR0917  a layer's weights, as plain tensors for the compiler
        x: torch.Tensor,
        attended: torch.Tensor,
        out: torch.Tensor,
        norm: torch.Tensor,
        gate_up: torch.Tensor,
        down: torch.Tensor,
    ) -> torch.Tensor:
        x = x + multiply(attended, out)
        gate, up = multiply(rms_norm(x, norm, shape.epsilon), gate_up).chunk(2, dim=-1)
        # In place, since these are the largest tensors.
        return multiply(silu(gate).mul_(up), down).add_(x)

    return Steps(pre_attention, post_attention)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Apply Llama's norm. Written out, since torch's own has a third of the speed on a CPU; a compiler fuses either."""
    exact = x.float()
    return weight * (exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + epsilon)).to(x.dtype)


def rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate heads (T x any x D) by their positions' angles (cos, sin: T x 1 x D)."""
    left, right = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-right, left], dim=-1) * sin


def rope_tables(llama: Llama, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines of the positions (T), T x 1 x D each: computed in float32, in the weights' dtype."""
    half = positions[:, None, None].float() * llama.frequencies
    both = torch.cat([half, half], dim=-1)
    dtype = llama.embeddings.dtype
    return (both.cos() * llama.rotary_scale).to(dtype), (both.sin() * llama.rotary_scale).to(dtype)


def invariant_steps(shape: Shape, device: torch.device) -> Steps:
    """Return the steps in tiles of one fixed shape, so that no row's result depends on the number of rows.

    On a GPU tiling the products is enough, with ten times fewer kernels. A CPU's threads also divide an activation, and
    the last bits of the remainder at the end of a share differ: there, whole steps are computed tile by tile.
    """
    if device.type != "cpu":
        return steps_of(shape, tiled)
    steps = steps_of(shape)

    def pre_attention(
        x: torch.Tensor, norm: torch.Tensor, weight: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        computed = [steps.pre_attention(tile, norm, weight, *tables) for tile, *tables in _tiles(x, cos, sin)]
        turned, values = (torch.cat(parts)[: len(x)] for parts in zip(*computed, strict=True))
        return turned, values

    def post_attention(x: torch.Tensor, attended: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        return torch.cat([steps.post_attention(*tiles, *weights) for tiles in _tiles(x, attended)])[: len(x)]

    return Steps(pre_attention, post_attention)


def tiled(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Compute `linear` in tiles."""
    return torch.cat([linear(tile, weight) for (tile,) in _tiles(x)])[: len(x)]


def _tiles(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Split tensors into `TILE` rows at a time; the last ones are padded with zeros."""
    padding = [0, -len(tensors[0]) % TILE]
    padded = [pad(tensor, [0, 0] * (tensor.dim() - 1) + padding) for tensor in tensors]
    return zip(*(torch.split(tensor, TILE) for tensor in padded), strict=True)
