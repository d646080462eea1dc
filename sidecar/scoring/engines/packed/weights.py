"""A decoder's weights in fused buffers: the operands of one matrix multiplication are contiguous."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from sidecar.scoring.checkpoints.architecture import Traits
from sidecar.scoring.engines.packed.architectures import FAMILIES, Architecture, architecture_of
from sidecar.scoring.engines.packed.fp8 import Fp8Matrix

Matrix = torch.Tensor | Fp8Matrix

# The matrices that a LoRA may change, by their field in `Layer`.
FUSED = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "out": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
# The norms of a layer, by their field in `Layer`: of most architectures, and of those with norms after the two halves.
NORMS = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
NORMS_AROUND = {
    "attention_norm": "input_layernorm",
    "attention_post_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "mlp_post_norm": "post_feedforward_layernorm",
}
HEAD_NORMS = ("self_attn.q_norm", "self_attn.k_norm")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a decoder; `heads` and `kv_heads` have `head_size` values each."""

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
        """Read the sizes from a configuration of transformers."""
        return cls(
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_size=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
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
    """One layer's weights: matrices are rows x columns as torch's linear has them, norms are before attention and MLP.

    None is what the architecture does not have. `head_norms` (2 x head size) are the queries' and the keys'.
    """

    qkv: Matrix
    out: Matrix
    gate_up: Matrix
    down: Matrix
    attention_norm: torch.Tensor
    mlp_norm: torch.Tensor
    qkv_bias: torch.Tensor | None = None
    out_bias: torch.Tensor | None = None
    gate_up_bias: torch.Tensor | None = None
    down_bias: torch.Tensor | None = None
    head_norms: torch.Tensor | None = None
    attention_post_norm: torch.Tensor | None = None
    mlp_post_norm: torch.Tensor | None = None

    def projecting(self, start: int, stop: int) -> Layer:
        """Return the layer with some rows of `qkv` alone."""
        bias = None if self.qkv_bias is None else self.qkv_bias[start:stop]
        return replace(self, qkv=self.qkv[start:stop], qkv_bias=bias)


@dataclass(frozen=True, slots=True)
class Rotary:
    """Rotary `frequencies` (half a head, float32); cosines and sines are multiplied by `scale`."""

    frequencies: torch.Tensor
    scale: float


@dataclass(frozen=True, slots=True)
class Decoder:
    """A sequence classifier with one output.

    `head` (1 x hidden) is float32 whatever the dtype of the rest. `rotary` is by the names of `layer_types`.
    """

    shape: Shape
    architecture: Architecture
    embeddings: torch.Tensor
    layers: tuple[Layer, ...]
    norm: torch.Tensor
    head: torch.Tensor
    rotary: Mapping[str, Rotary]

    @property
    def traits(self) -> Traits:
        """Return the traits of the architecture that decide how pairs are read and pooled."""
        return Traits(self.architecture.name, decoder=not self.architecture.mean_pooled, one_text=True)

    @property
    def device(self) -> torch.device:
        """Return the device that holds all weights."""
        return self.embeddings.device

    @property
    def in_fp8(self) -> bool:
        """True if the matrices of the layers are in FP8."""
        return isinstance(self.layers[0].qkv, Fp8Matrix)

    def slots(self) -> dict[str, Matrix]:
        """Return a view of the buffers for each tensor of a checkpoint, by name."""
        named: dict[str, Matrix] = {"model.embed_tokens.weight": self.embeddings, "model.norm.weight": self.norm}
        named["score.weight"] = self.head
        for number, layer in enumerate(self.layers):
            at = f"model.layers.{number}"
            named |= {f"{at}.{name}.weight": getattr(layer, field) for field, name in _norms(self.architecture).items()}
            if layer.head_norms is not None:
                named |= {f"{at}.{name}.weight": view for name, view in zip(HEAD_NORMS, layer.head_norms, strict=True)}
            for field, (rows, _) in self.shape.parts.items():
                for kind, fused in (("weight", getattr(layer, field)), ("bias", getattr(layer, f"{field}_bias"))):
                    views = () if fused is None else zip(FUSED[field], fused.split(rows), strict=True)
                    named |= {f"{at}.{name}.{kind}": view for name, view in views}
        return named


def empty_decoder(config: Any, *, dtype: torch.dtype, device: torch.device, fp8: bool = False) -> Decoder:
    """Allocate the buffers for a configuration of transformers; only the rotary frequencies are filled.

    With `fp8` the matrices of the layers are in FP8, all other weights in `dtype`.
    """
    shape, architecture = Shape.of(config), architecture_of(config)

    def empty(*size: int) -> torch.Tensor:
        return torch.empty(size, dtype=dtype, device=device)

    def empty_matrix(rows: int, columns: int) -> Matrix:
        return Fp8Matrix.empty(rows, columns, device=device) if fp8 else empty(rows, columns)

    def empty_layer() -> Layer:
        matrices: dict[str, Any] = {
            field: empty_matrix(sum(rows), columns) for field, (rows, columns) in shape.parts.items()
        }
        return Layer(
            **matrices,
            **{f"{field}_bias": empty(sum(shape.parts[field][0])) for field in architecture.biased},
            **{field: empty(shape.hidden) for field in _norms(architecture)},
            head_norms=empty(2, shape.head_size) if architecture.head_norms else None,
        )

    return Decoder(
        shape=shape,
        architecture=architecture,
        embeddings=empty(shape.vocabulary, shape.hidden),
        layers=tuple(empty_layer() for _ in range(shape.layers)),
        norm=empty(shape.hidden),
        head=torch.empty(1, shape.hidden, dtype=torch.float32, device=device),
        rotary={name: _rotary(config, name, device) for name in architecture.attention},
    )


def with_matrices_of_its_own(decoder: Decoder) -> Decoder:
    """Return a second decoder with empty fused matrices and head of its own; all other weights are shared."""
    layers = tuple(
        replace(layer, **{field: torch.empty_like(getattr(layer, field)) for field in FUSED})
        for layer in decoder.layers
    )
    return replace(decoder, layers=layers, head=torch.empty_like(decoder.head))


def _norms(architecture: Architecture) -> dict[str, str]:
    return NORMS_AROUND if architecture.post_norms else NORMS


def _rotary(config: Any, layer_type: str, device: torch.device) -> Rotary:
    """Compute the frequencies of a type of layers, as transformers does."""
    if FAMILIES[config.model_type].rotary_by_layer_type:
        from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding

        found = Gemma3RotaryEmbedding(config)
        frequencies, scale = (getattr(found, f"{layer_type}_{name}") for name in ("inv_freq", "attention_scaling"))
    else:
        from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

        found = LlamaRotaryEmbedding(config)
        frequencies, scale = found.inv_freq, found.attention_scaling
    return Rotary(frequencies.float().to(device), float(scale))
