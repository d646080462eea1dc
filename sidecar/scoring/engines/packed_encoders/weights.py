"""An encoder's weights by what they do, taken from a transformers model; queries, keys and values in one matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import gelu, layer_norm, linear

from sidecar.scoring.engines.packed.architectures import FULL, SLIDING, AttentionKind

BIDIRECTIONAL = AttentionKind(window=(-1, -1))


@dataclass(frozen=True, slots=True)
class Affine:
    """A matrix (outputs x inputs) and its bias, if it has one."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Map rows x inputs to rows x outputs."""
        return linear(rows, self.weight, self.bias)

    def float(self) -> Affine:
        """Return it in float32."""
        return Affine(self.weight.float(), None if self.bias is None else self.bias.float())

    def outputs(self, start: int, stop: int | None = None) -> Affine:
        """Return the part that computes some of the outputs."""
        return Affine(self.weight[start:stop], None if self.bias is None else self.bias[start:stop])


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    epsilon: float

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Normalise each row."""
        return layer_norm(rows, self.weight.shape, self.weight, self.bias, self.epsilon)

    def float(self) -> Norm:
        """Return it in float32."""
        return Norm(self.weight.float(), None if self.bias is None else self.bias.float(), self.epsilon)


@dataclass(frozen=True, slots=True)
class Design:
    """The differences between the architectures' layers.

    With `pre_norm` the norms precede attention and MLP, else they follow their sums. With `gated` the MLP's first
    matrix has twice the outputs, and the second half multiplies the first.
    """

    pre_norm: bool
    gated: bool


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """Cosines and sines of all positions, positions x 1 x head size each, in float32; layers of a kind share one."""

    cos: torch.Tensor
    sin: torch.Tensor


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; ModernBERT's first has no `attention_norm`, and only ModernBERT's have a `rotation`."""

    qkv: Affine
    out: Affine
    attention_norm: Norm | None
    inner: Affine
    down: Affine
    mlp_norm: Norm
    attention: AttentionKind = BIDIRECTIONAL
    rotation: Rotation | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Tables of words, and of segments and positions if the architecture has them.

    The first token has the position `first_position`: RoBERTa's positions follow its padding index.
    """

    words: torch.Tensor
    norm: Norm
    types: torch.Tensor | None = None
    positions: torch.Tensor | None = None
    first_position: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """A classifier over pooled rows, in float32 whatever the dtype of the rest, so that few scores are equal."""

    dense: Affine
    activation: Callable[[torch.Tensor], torch.Tensor]
    norm: Norm | None
    out: Affine

    def __call__(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map rows x hidden to one logit for each row."""
        rows = self.activation(self.dense(pooled))
        return self.out(rows if self.norm is None else self.norm(rows))[:, 0]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A whole encoder. `head` is None for a bi-encoder; ModernBERT's `final_norm` follows its last layer."""

    design: Design
    heads: int
    embeddings: Embeddings
    layers: tuple[Layer, ...]
    final_norm: Norm | None = None
    head: Head | None = None


def encoder_of(model: Any, *, positions: int) -> Encoder:
    """Take the weights of a transformers model that `readable.find_obstacle` accepts.

    Weights share the model's memory, except for the matrices of queries, keys and values, and the head. `positions` is
    the most tokens of a row.
    """
    return _modernbert(model, positions) if model.config.model_type == "modernbert" else _bert(model)


class _Weights:
    """The parameters of a model by their names below its base model."""

    def __init__(self, model: Any, epsilon: float) -> None:
        prefix = f"{model.base_model_prefix}."
        self._found = {name.removeprefix(prefix): weight.detach() for name, weight in model.named_parameters()}
        self._epsilon = epsilon

    def __contains__(self, name: str) -> bool:
        return f"{name}.weight" in self._found

    def table(self, name: str) -> torch.Tensor:
        found: torch.Tensor = self._found[f"{name}.weight"]
        return found

    def affine(self, name: str) -> Affine:
        return Affine(self.table(name), self._found.get(f"{name}.bias"))

    def stacked(self, names: Sequence[str]) -> Affine:
        """Return matrices of the same inputs as one; each has a bias."""
        return Affine(
            torch.cat([self.table(name) for name in names]), torch.cat([self._found[f"{name}.bias"] for name in names])
        )

    def norm(self, name: str) -> Norm:
        return Norm(self.table(name), self._found.get(f"{name}.bias"), self._epsilon)


def _bert(model: Any) -> Encoder:
    """Take the weights of a BERT, RoBERTa or XLM-RoBERTa."""
    config = model.config
    bert = config.model_type == "bert"
    weights = _Weights(model, config.layer_norm_eps)
    return Encoder(
        design=Design(pre_norm=False, gated=False),
        heads=config.num_attention_heads,
        embeddings=Embeddings(
            words=weights.table("embeddings.word_embeddings"),
            norm=weights.norm("embeddings.LayerNorm"),
            types=weights.table("embeddings.token_type_embeddings"),
            positions=weights.table("embeddings.position_embeddings"),
            first_position=0 if bert else config.pad_token_id + 1,
        ),
        layers=tuple(_bert_layer(weights, f"encoder.layer.{number}") for number in range(config.num_hidden_layers)),
        head=_head(weights, *(("pooler.dense", "classifier") if bert else ("classifier.dense", "classifier.out_proj"))),
    )


def _bert_layer(weights: _Weights, at: str) -> Layer:
    names = [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]
    return Layer(
        qkv=weights.stacked(names),
        out=weights.affine(f"{at}.attention.output.dense"),
        attention_norm=weights.norm(f"{at}.attention.output.LayerNorm"),
        inner=weights.affine(f"{at}.intermediate.dense"),
        down=weights.affine(f"{at}.output.dense"),
        mlp_norm=weights.norm(f"{at}.output.LayerNorm"),
    )


def _modernbert(model: Any, positions: int) -> Encoder:
    config = model.config
    weights = _Weights(model, config.norm_eps)
    rotations = {kind: _rotation(model, kind, positions) for kind in set(config.layer_types)}
    # Half of `local_attention` before a row, and half after it.
    half = config.local_attention // 2
    attention = {FULL: BIDIRECTIONAL, SLIDING: AttentionKind(window=(half, half))}
    return Encoder(
        design=Design(pre_norm=True, gated=True),
        heads=config.num_attention_heads,
        embeddings=Embeddings(weights.table("embeddings.tok_embeddings"), weights.norm("embeddings.norm")),
        layers=tuple(
            _modernbert_layer(weights, f"layers.{number}", attention[kind], rotations[kind])
            for number, kind in enumerate(config.layer_types)
        ),
        final_norm=weights.norm("final_norm"),
        head=_head(weights, "head.dense", "classifier", norm="head.norm"),
    )


def _modernbert_layer(weights: _Weights, at: str, attention: AttentionKind, rotation: Rotation) -> Layer:
    norm = f"{at}.attn_norm"
    return Layer(
        qkv=weights.affine(f"{at}.attn.Wqkv"),
        out=weights.affine(f"{at}.attn.Wo"),
        attention_norm=weights.norm(norm) if norm in weights else None,
        inner=weights.affine(f"{at}.mlp.Wi"),
        down=weights.affine(f"{at}.mlp.Wo"),
        mlp_norm=weights.norm(f"{at}.mlp_norm"),
        attention=attention,
        rotation=rotation,
    )


def _rotation(model: Any, kind: str, positions: int) -> Rotation:
    """Compute the cosines and sines of a kind of layers by the model's own module."""
    numbers = torch.arange(positions, device=model.device)[None]
    kept_in = torch.empty(0, dtype=torch.float32, device=model.device)
    cos, sin = model.base_model.rotary_emb(kept_in, numbers, kind)
    return Rotation(cos[0, :, None], sin[0, :, None])


def _head(weights: _Weights, dense: str, out: str, *, norm: str | None = None) -> Head | None:
    if out not in weights:
        return None
    return Head(
        weights.affine(dense).float(),
        torch.tanh if norm is None else gelu,
        None if norm is None else weights.norm(norm).float(),
        weights.affine(out).float(),
    )
