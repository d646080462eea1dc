"""One encoder layer's arithmetic on packed rows, without attention: the steps before and after it."""

from __future__ import annotations

import torch
from torch.nn.functional import gelu

from sidecar.scoring.engines.packed.block import rotate
from sidecar.scoring.engines.packed_encoders.weights import Affine, Design, Layer

# Cosines and sines of T rows, T x 1 x head size each.
Tables = tuple[torch.Tensor, torch.Tensor]


def attention_input(x: torch.Tensor, layer: Layer, design: Design) -> torch.Tensor:
    """Return the rows (T x hidden) that queries, keys and values are computed from."""
    return layer.attention_norm(x) if design.pre_norm and layer.attention_norm is not None else x


def heads(rows: torch.Tensor, matrix: Affine, number: int) -> torch.Tensor:
    """Compute `number` heads for each row: T x number x head size."""
    return torch.unflatten(matrix(rows), -1, (number, -1))


def rotated(found: torch.Tensor, tables: Tables | None) -> torch.Tensor:
    """Rotate heads by their rows' cosines and sines, in float32 as transformers does; None leaves them as they are."""
    return found if tables is None else rotate(found.float(), *tables).to(found.dtype)


def post_attention(x: torch.Tensor, attended: torch.Tensor, layer: Layer, design: Design) -> torch.Tensor:
    """Map rows and their attended heads (T x hidden each) to the layer's output."""
    x = layer.out(attended).add_(x)
    if design.pre_norm:
        return _mlp(layer.mlp_norm(x), layer, design).add_(x)
    if layer.attention_norm is not None:
        x = layer.attention_norm(x)
    return layer.mlp_norm(_mlp(x, layer, design).add_(x))


def _mlp(x: torch.Tensor, layer: Layer, design: Design) -> torch.Tensor:
    if not design.gated:
        return layer.down(gelu(layer.inner(x)))
    inner, gate = layer.inner(x).chunk(2, dim=-1)
    return layer.down(gelu(inner).mul_(gate))
