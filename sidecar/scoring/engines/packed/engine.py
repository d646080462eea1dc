"""The engine: lay out pairs, run them through the layers, and return one logit for each pair."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch.nn.functional import embedding, linear

from sidecar.core.model_spec import Compiling
from sidecar.scoring.checkpoints.architecture import check_slot
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.engines.names import PACKED, PACKED_FP8
from sidecar.scoring.engines.packed.attention import Attend, plan_attention
from sidecar.scoring.engines.packed.block import Steps, invariant_steps, rms_norm, rope_tables, steps_of, tiled
from sidecar.scoring.engines.packed.compiling import start
from sidecar.scoring.engines.packed.fp8 import multiply
from sidecar.scoring.engines.packed.layout import Layout, Segment, Slot, cut, distinct, lay_out
from sidecar.scoring.engines.packed.transfer import send
from sidecar.scoring.engines.packed.weights import Decoder, Layer
from sidecar.scoring.engines.transformers import MAX_TOKENS, MAX_TOKENS_GPU
from sidecar.scoring.prompt import Tokens

# Cosines and sines of a batch's rows, by the names of `layer_types`.
Rotations = dict[str, tuple[torch.Tensor, torch.Tensor]]


class PackedEngine:
    """A decoder with a score head, without padding; batches span groups.

    `max_pairs` and `max_tokens` are the most pairs and rows in one batch (None: by device); `eos` is the token that
    `last_slot` pools. With `share` the common first ids of a group's pairs are computed once for each batch. `compile`
    says when the steps of a layer are compiled.

    With `invariant` a pair's score does not depend, to the last bit, on what else is scored with it: nothing is shared
    between pairs, each attends alone, and rows are computed in tiles of one shape. Then nothing is compiled.

    Raises ModelError for `last_slot` with a window of attention below the manifest's limit.
    """

    def __init__(  # noqa: PLR0913  independent options, by keyword
        self,
        decoder: Decoder,
        manifest: Manifest,
        *,
        eos: int,
        max_pairs: int = 128,
        max_tokens: int | None = None,
        share: bool = True,
        compile: Compiling = "never",  # noqa: A002  the name the card and torch use
        invariant: bool = False,
    ) -> None:
        check_slot(manifest, decoder.architecture.window)
        self.name = PACKED_FP8 if decoder.in_fp8 else PACKED
        self.decoder = decoder
        self.device = decoder.device
        self.max_pairs = max_pairs
        self.max_tokens = max_tokens or MAX_TOKENS.get(self.device.type, MAX_TOKENS_GPU)
        self._slot = Slot(eos, manifest.max_length - 1) if manifest.pooling == "last_slot" else None
        self._invariant = invariant
        self._share = share and not invariant and decoder.architecture.causal
        self._multiply = tiled if invariant else linear
        # Of all positions at once: computed for a batch, their last bits may depend on its size.
        positions = torch.arange(manifest.max_length, device=self.device)
        self._rope_tables = {
            name: rope_tables(rotary, positions, decoder.embeddings.dtype) for name, rotary in decoder.rotary.items()
        }
        product = multiply if decoder.in_fp8 else linear
        self._plain = invariant_steps(decoder) if invariant else steps_of(decoder, product)
        self.compiled = start("never" if invariant else compile, self._plain, decoder)

    def logits(self, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """Return one logit for each pair. Equal pairs of a group are scored once, so their scores are equal."""
        found = [distinct([pair.ids for pair in group]) for group in groups]
        pairs = [own for own, _ in found]
        batches = cut(pairs, max_pairs=self.max_pairs, max_tokens=self.max_tokens, share=self._share)
        # Nothing waits for the GPU before the end: it computes a batch while the next one is laid out.
        computed = [self._logits(lay_out(batch, self._slot)) for batch in batches]
        flat = iter(torch.cat(computed).tolist() if computed else [])
        logits = [list(itertools.islice(flat, len(own))) for own in pairs]
        return [[own[place] for place in places] for own, (_, places) in zip(logits, found, strict=True)]

    @torch.inference_mode()
    def _logits(self, layout: Layout) -> torch.Tensor:
        """Return one logit for each pair, still on the device."""
        decoder, shape = self.decoder, self.decoder.shape
        x = embedding(send(layout.ids, self.device), decoder.embeddings)
        if decoder.architecture.scaled_embeddings:
            # The factor is rounded to the dtype first, as in transformers.
            x = x * torch.tensor(shape.hidden**0.5, dtype=x.dtype).item()
        rotations = self._rotations(layout)
        x = self._layers(slice(0, -1), x, rotations, layout)
        mean = decoder.architecture.mean_pooled
        x = self._layers(slice(-1, None), x, rotations, layout) if mean else self._last_layer(x, rotations, layout)
        # The head in float32: a bf16 logit has 8 bits, so many of a window's 100 scores would be equal.
        rows = rms_norm(x, decoder.norm, shape.epsilon, centred=decoder.architecture.centred_norms).float()
        if mean:
            own = torch.split(rows, [len(segment.rows) for segment in layout.segments])
            rows = torch.stack([pair.mean(0) for pair in own])
        return self._multiply(rows, decoder.head, None)[:, 0] / decoder.architecture.temperature

    def _rotations(self, layout: Layout) -> Rotations:
        positions = send(layout.positions, self.device)
        return {
            name: (cos.index_select(0, positions), sin.index_select(0, positions))
            for name, (cos, sin) in self._rope_tables.items()
        }

    def _layers(self, which: slice, x: torch.Tensor, rotations: Rotations, layout: Layout) -> torch.Tensor:
        """Run some layers for all rows."""
        steps, heads = self._steps(len(x)), [self.decoder.shape.heads, self.decoder.shape.kv_heads]
        layers, layer_types = self.decoder.layers[which], self.decoder.architecture.layer_types[which]
        plans = {name: self._plan(layout.segments, name) for name in set(layer_types)}

        def attended(layer: Layer, layer_type: str) -> torch.Tensor:
            # A separate function, so that queries, keys and values are freed before the largest tensors are made.
            turned, value = steps.pre_attention(x, layer, *rotations[layer_type])
            query, key = torch.split(turned, heads, dim=1)
            return plans[layer_type](query, key, value)

        for layer, layer_type in zip(layers, layer_types, strict=True):
            x = steps.post_attention(x, attended(layer, layer_type), layer)
        return x

    def _last_layer(self, x: torch.Tensor, rotations: Rotations, layout: Layout) -> torch.Tensor:
        """Run the last layer for the pooled rows only, in the pairs' order; the others give only keys and values."""
        shape, layer = self.decoder.shape, self.decoder.layers[-1]
        layer_type = self.decoder.architecture.layer_types[-1]
        pooled = send(layout.pooled_rows, self.device)
        cos, sin = rotations[layer_type]
        keys_values = layer.projecting(shape.queries, len(layer.qkv))
        key, value = self._plain.pre_attention(x, keys_values, cos, sin)
        x = x[pooled]
        query = self._plain.queries(x, layer.projecting(0, shape.queries), cos[pooled], sin[pooled])
        attended = self._plan(layout.pooled, layer_type)(query, key, value)
        return self._plain.post_attention(x, attended, layer)

    def _steps(self, rows: int) -> Steps:
        # A step compiled for any number of rows serves 2 and more: torch treats 1 as a constant.
        return self.compiled.steps if self.compiled is not None and rows > 1 else self._plain

    def _plan(self, segments: Sequence[Segment], layer_type: str) -> Attend:
        kind, dtype = self.decoder.architecture.attention[layer_type], self.decoder.embeddings.dtype
        return plan_attention(segments, kind, device=self.device, dtype=dtype, invariant=self._invariant)
