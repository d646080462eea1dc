"""A Llama's weights in fused buffers: the operands of one matrix multiplication are contiguous."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from sidecar.scoring.checkpoints.architecture import Traits

# The matrices that a LoRA may change, by their field in `Layer`.
FUSED = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Llama; `heads` and `kv_heads` have `head_size` values each."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    epsilon: float

    @classmethod
    def of(cls, config: Any) -> Shape:
        """Read the sizes from a LlamaConfig."""
        return cls(
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_size=config.head_dim,
            vocabulary=config.vocab_size,
            epsilon=config.rms_norm_eps,
        )

    @property
    def queries(self) -> int:
        """Return the number of values of all query heads of a token."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """Return the number of values of all key heads of a token; the value heads have as many."""
        return self.kv_heads * self.head_size

    @property
    def parts(self) -> dict[str, tuple[tuple[int, ...], int]]:
        """Return, for each fused matrix, the rows of its parts, in `FUSED`'s order, and its columns."""
        return {
            "qkv": ((self.queries, self.keys, self.keys), self.hidden),
            "out": ((self.hidden,), self.queries),
            "gate_up": ((self.intermediate, self.intermediate), self.hidden),
            "down": ((self.hidden,), self.intermediate),
        }


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's weights, each rows x columns as torch's linear has them; the norms before attention and MLP."""

    qkv: torch.Tensor
    out: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor
    attention_norm: torch.Tensor
    mlp_norm: torch.Tensor


@dataclass(frozen=True, slots=True)
class Llama:
    """A sequence classifier with one output.

    `head` (1 x hidden) and the rotary `frequencies` are float32 whatever the dtype of the rest; cosines and sines are
    multiplied by `rotary_scale`.
    """

    shape: Shape
    embeddings: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: torch.Tensor
    frequencies: torch.Tensor
    rotary_scale: float

    @property
    def traits(self) -> Traits:
        """Return the traits of the architecture that decide how pairs are read and pooled."""
        return Traits("LlamaForSequenceClassification", decoder=True)

    @property
    def device(self) -> torch.device:
        """Return the device that holds all weights."""
        return self.embeddings.device

    def slots(self) -> dict[str, torch.Tensor]:
        """Return a view of the buffers for each tensor of a checkpoint, by name."""
        named = {"model.embed_tokens.weight": self.embeddings, "model.norm.weight": self.norm}
        named["score.weight"] = self.head
        for number, layer in enumerate(self.layers):
            at = f"model.layers.{number}"
            named[f"{at}.input_layernorm.weight"] = layer.attention_norm
            named[f"{at}.post_attention_layernorm.weight"] = layer.mlp_norm
            for field, (rows, _) in self.shape.parts.items():
                views = getattr(layer, field).split(rows)
                named |= {f"{at}.{name}.weight": view for name, view in zip(FUSED[field], views, strict=True)}
        return named


def empty_llama(config: Any, *, dtype: torch.dtype, device: torch.device) -> Llama:
    """Allocate the buffers for a LlamaConfig; only the rotary frequencies are filled."""
    shape = Shape.of(config)

    def empty(*size: int) -> torch.Tensor:
        return torch.empty(size, dtype=dtype, device=device)

    frequencies, scale = _rotary(config)
    return Llama(
        shape=shape,
        embeddings=empty(shape.vocabulary, shape.hidden),
        layers=tuple(
            Layer(
                **{field: empty(sum(rows), columns) for field, (rows, columns) in shape.parts.items()},
                attention_norm=empty(shape.hidden),
                mlp_norm=empty(shape.hidden),
            )
            for _ in range(shape.layers)
        ),
        norm=empty(shape.hidden),
        head=torch.empty(1, shape.hidden, dtype=torch.float32, device=device),
        frequencies=frequencies.to(device),
        rotary_scale=scale,
    )


def with_matrices_of_its_own(llama: Llama) -> Llama:
    """Return a second Llama with empty fused matrices and head of its own; embeddings and norms are shared."""
    layers = tuple(
        replace(layer, **{field: torch.empty_like(getattr(layer, field)) for field in FUSED}) for layer in llama.layers
    )
    return replace(llama, layers=layers, head=torch.empty_like(llama.head))


def _rotary(config: Any) -> tuple[torch.Tensor, float]:
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    rotary = LlamaRotaryEmbedding(config)
    return rotary.inv_freq.float(), float(rotary.attention_scaling)
