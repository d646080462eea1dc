"""One layer's arithmetic on packed rows, without attention: the steps before and after it.

They are pure functions of tensors, so that they can be compiled. Rounding is as in transformers: norms in float32,
cast, then multiplied by their weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import gelu, linear, pad, silu

from sidecar.scoring.engines.packed.weights import Decoder, Layer, Rotary

# Rows, one of the matrices that the decoder has (`weights.Matrix`), and a bias.
Multiply = Callable[[torch.Tensor, Any, torch.Tensor | None], torch.Tensor]
# By the names of `architectures.ACTIVATIONS`.
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": silu,
    "gelu_pytorch_tanh": functools.partial(gelu, approximate="tanh"),
}
# Rows of a tile in the invariant mode: enough for a GPU's tensor cores, and little waste on a CPU.
TILE = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """The two halves of a layer. T rows, H query and G key heads of D values each; rotated by cos, sin (T x 1 x D).

    - `pre_attention(x, layer, cos, sin)`: rows (T x hidden) to rotated queries and keys (T x (H + G) x D) and values
      (T x G x D). A layer without the queries' rows of qkv gives T x G x D twice.
    - `queries(x, layer, cos, sin)`: the same for a layer with the queries' rows of qkv alone, to T x H x D.
    - `post_attention(x, attended, layer)`: rows and their attended heads (T x H · D) to the layer's output.
    """

    pre_attention: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    queries: Callable[..., torch.Tensor]
    post_attention: Callable[..., torch.Tensor]


def steps_of(decoder: Decoder, multiply: Multiply = linear) -> Steps:
    """Make the steps of a decoder; `multiply` is torch's `linear` or does the same, `fp8.multiply` for FP8."""
    shape, architecture = decoder.shape, decoder.architecture
    activate = ACTIVATIONS[architecture.activation]

    def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, weight, shape.epsilon, centred=architecture.centred_norms)

    def post_norm(x: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        return x if weight is None else norm(x, weight)

    def project(x: torch.Tensor, layer: Layer) -> torch.Tensor:
        values = multiply(norm(x, layer.attention_norm), layer.qkv, layer.qkv_bias)
        return torch.unflatten(values, -1, (-1, shape.head_size))

    def turn(heads: torch.Tensor, queries: int, layer: Layer, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Normalise heads, the first of which are queries and the others keys, and rotate them."""
        if layer.head_norms is not None:
            of_queries, of_keys = layer.head_norms.unsqueeze(1)
            keys = heads.shape[1] - queries
            heads = norm(heads, torch.cat([of_queries.expand(queries, -1), of_keys.expand(keys, -1)]))
        return rotate(heads, cos, sin)

    def pre_attention(
        x: torch.Tensor, layer: Layer, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heads = project(x, layer)
        turned, value = heads[:, : -shape.kv_heads], heads[:, -shape.kv_heads :]
        return turn(turned, turned.shape[1] - shape.kv_heads, layer, cos, sin), value

    def queries(x: torch.Tensor, layer: Layer, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        return turn(project(x, layer), shape.heads, layer, cos, sin)

    def post_attention(x: torch.Tensor, attended: torch.Tensor, layer: Layer) -> torch.Tensor:
        x = x + post_norm(multiply(attended, layer.out, layer.out_bias), layer.attention_post_norm)
        gate, up = multiply(norm(x, layer.mlp_norm), layer.gate_up, layer.gate_up_bias).chunk(2, dim=-1)
        # In place, since these are the largest tensors.
        return post_norm(multiply(activate(gate).mul_(up), layer.down, layer.down_bias), layer.mlp_post_norm).add_(x)

    return Steps(pre_attention, queries, post_attention)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, epsilon: float, *, centred: bool = False) -> torch.Tensor:
    """Apply Llama's norm, or, if its weight is stored less one, Gemma's.

    Written out, since torch's own has a third of the speed on a CPU; a compiler fuses either.
    """
    exact = x.float()
    normed = exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + epsilon)
    return (normed * (1 + weight.float())).to(x.dtype) if centred else weight * normed.to(x.dtype)


def rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate heads (T x any x D) by their positions' angles (cos, sin: T x 1 x D)."""
    left, right = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat([-right, left], dim=-1) * sin


def rope_tables(rotary: Rotary, positions: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines of the positions (T), T x 1 x D each: computed in float32, cast to a dtype."""
    half = positions[:, None, None].float() * rotary.frequencies
    both = torch.cat([half, half], dim=-1)
    return (both.cos() * rotary.scale).to(dtype), (both.sin() * rotary.scale).to(dtype)


def invariant_steps(decoder: Decoder) -> Steps:
    """Return the steps in tiles of one fixed shape, so that no row's result depends on the number of rows.

    On a GPU tiling the products is enough, with ten times fewer kernels. A CPU's threads also divide an activation, and
    the last bits of the remainder at the end of a share differ: there, whole steps are computed tile by tile.
    """
    if decoder.device.type != "cpu":
        return steps_of(decoder, tiled)
    steps = steps_of(decoder)

    def pre_attention(
        x: torch.Tensor, layer: Layer, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        computed = [steps.pre_attention(tile, layer, *tables) for tile, *tables in _tiles(x, cos, sin)]
        turned, values = (torch.cat(parts)[: len(x)] for parts in zip(*computed, strict=True))
        return turned, values

    def queries(x: torch.Tensor, layer: Layer, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        return torch.cat([steps.queries(tile, layer, *tables) for tile, *tables in _tiles(x, cos, sin)])[: len(x)]

    def post_attention(x: torch.Tensor, attended: torch.Tensor, layer: Layer) -> torch.Tensor:
        return torch.cat([steps.post_attention(*tiles, layer) for tiles in _tiles(x, attended)])[: len(x)]

    return Steps(pre_attention, queries, post_attention)


def tiled(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Compute `linear` in tiles."""
    return torch.cat([linear(tile, weight, bias) for (tile,) in _tiles(x)])[: len(x)]


def _tiles(*tensors: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Split tensors into `TILE` rows at a time; the last ones are padded with zeros."""
    padding = [0, -len(tensors[0]) % TILE]
    padded = [pad(tensor, [0, 0] * (tensor.dim() - 1) + padding) for tensor in tensors]
    return zip(*(torch.split(tensor, TILE) for tensor in padded), strict=True)
