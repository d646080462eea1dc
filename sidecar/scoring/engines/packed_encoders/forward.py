"""Texts through an encoder's layers: packed rows in, one pooled row for each text out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import embedding

from sidecar.scoring.engines.packed_encoders.block import attention_input, heads, post_attention, rotated
from sidecar.scoring.engines.packed_encoders.texts import PackedTexts
from sidecar.scoring.engines.packed_encoders.weights import Encoder, Layer
from sidecar.scoring.prompt import Tokens


class Forward:
    """An encoder up to its pooled rows: the mean of a text's rows, or its first row.

    If the first row is pooled, the last layer computes only keys and values for the others.
    """

    def __init__(self, encoder: Encoder, *, mean: bool) -> None:
        self.encoder = encoder
        self.device, self.dtype = encoder.embeddings.words.device, encoder.embeddings.words.dtype
        self._mean = mean

    @torch.inference_mode()
    def pooled(self, texts: Sequence[Tokens]) -> torch.Tensor:
        """Return texts x hidden, in float32 and still on the device."""
        encoder = self.encoder
        batch = self._packed(texts)
        x = self._embedded(batch)
        for layer in encoder.layers if self._mean else encoder.layers[:-1]:
            x = self._layer(layer, x, batch)
        if not self._mean:
            x = self._first_rows(encoder.layers[-1], x, batch)
        if encoder.final_norm is not None:
            x = encoder.final_norm(x)
        # `unsafe` leaves out a check of the lengths that would wait for the GPU.
        return torch.segment_reduce(x.float(), "mean", lengths=batch.lengths, unsafe=True) if self._mean else x.float()

    def _packed(self, texts: Sequence[Tokens]) -> PackedTexts:
        return PackedTexts(texts, device=self.device, dtype=self.dtype)

    def _embedded(self, batch: PackedTexts) -> torch.Tensor:
        tables = self.encoder.embeddings
        x = embedding(batch.ids, tables.words)
        if tables.types is not None:
            x.add_(embedding(batch.types, tables.types))
        if tables.positions is not None:
            x.add_(embedding(batch.positions + tables.first_position, tables.positions))
        return tables.norm(x)

    def _layer(self, layer: Layer, x: torch.Tensor, batch: PackedTexts) -> torch.Tensor:
        """Compute a layer for all rows."""
        design, number = self.encoder.design, self.encoder.heads
        found = heads(attention_input(x, layer, design), layer.qkv, 3 * number)
        turned = rotated(found[:, : 2 * number], batch.tables(layer.rotation))
        attended = batch.attend(layer.attention)(turned[:, :number], turned[:, number:], found[:, 2 * number :])
        return post_attention(x, attended, layer, design)

    def _first_rows(self, layer: Layer, x: torch.Tensor, batch: PackedTexts) -> torch.Tensor:
        """Compute a layer for each text's first row, from keys and values of all rows."""
        design, number, width, first = self.encoder.design, self.encoder.heads, x.shape[1], batch.first
        rows = attention_input(x, layer, design)
        found = heads(rows, layer.qkv.outputs(width), 2 * number)
        key = rotated(found[:, :number], batch.tables(layer.rotation))
        # A first row has the position 0, which is not rotated.
        query = heads(rows[first], layer.qkv.outputs(0, width), number)
        attended = batch.attend_first(layer.attention)(query, key, found[:, number:])
        return post_attention(x[first], attended, layer, design)
