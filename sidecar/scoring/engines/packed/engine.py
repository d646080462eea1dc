"""The engine: lay out pairs, run them through the layers, and return one logit for each pair."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch.nn.functional import embedding, linear

from sidecar.core.model_spec import Compiling
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.engines.packed.attention import Attend, plan_attention
from sidecar.scoring.engines.packed.block import Steps, invariant_steps, rms_norm, rope_tables, rotate, steps_of, tiled
from sidecar.scoring.engines.packed.compiling import start
from sidecar.scoring.engines.packed.layout import Layout, Segment, Slot, cut, distinct, lay_out
from sidecar.scoring.engines.packed.transfer import send
from sidecar.scoring.engines.packed.weights import Layer, Llama
from sidecar.scoring.engines.transformers import MAX_TOKENS, MAX_TOKENS_GPU
from sidecar.scoring.prompt import Tokens


class PackedEngine:
    """A Llama sequence classifier without padding; batches span groups.

    `max_pairs` and `max_tokens` are the most pairs and rows in one batch (None: by device); `eos` is the token that
    `last_slot` pools. With `share` the common first ids of a group's pairs are computed once for each batch. `compile`
    says when the steps of a layer are compiled.

    With `invariant` a pair's score does not depend, to the last bit, on what else is scored with it: nothing is shared
    between pairs, each attends alone, and rows are computed in tiles of one shape. Then nothing is compiled.
    """

    name = "packed"

    def __init__(  # noqa: PLR0913  independent options, by keyword
        self,
        llama: Llama,
        manifest: Manifest,
        *,
        eos: int,
        max_pairs: int = 128,
        max_tokens: int | None = None,
        share: bool = True,
        compile: Compiling = "never",  # noqa: A002  the name the card and torch use
        invariant: bool = False,
    ) -> None:
        self.llama = llama
        self.device = llama.device
        self.max_pairs = max_pairs
        self.max_tokens = max_tokens or MAX_TOKENS.get(self.device.type, MAX_TOKENS_GPU)
        self._slot = Slot(eos, manifest.max_length - 1) if manifest.pooling == "last_slot" else None
        self._invariant = invariant
        self._share = share and not invariant
        self._multiply = tiled if invariant else linear
        # Of all positions at once: computed for a batch, their last bits may depend on its size.
        self._rope_tables = rope_tables(llama, torch.arange(manifest.max_length, device=llama.device))
        self._plain = invariant_steps(llama.shape, llama.device) if invariant else steps_of(llama.shape)
        self.compiled = start("never" if invariant else compile, self._plain, llama)

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
        llama = self.llama
        ids, positions = send(layout.ids, self.device), send(layout.positions, self.device)
        x = embedding(ids, llama.embeddings)
        cos, sin = (table.index_select(0, positions) for table in self._rope_tables)
        x = self._layers(llama.layers[:-1], x, cos, sin, layout)
        x = self._last_layer(x, cos, sin, layout)
        # The head in float32: a bf16 logit has 8 bits, so many of a window's 100 scores would be equal.
        rows = rms_norm(x, llama.norm, llama.shape.epsilon).float()
        return self._multiply(rows, llama.head)[:, 0]

    def _layers(
        self, layers: Sequence[Layer], x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, layout: Layout
    ) -> torch.Tensor:
        """Run some layers for all rows."""
        steps, attend = self._steps(len(x)), self._plan(layout.segments)

        def attended(layer: Layer) -> torch.Tensor:
            # A separate function, so that queries, keys and values are freed before the largest tensors are made.
            turned, value = steps.pre_attention(x, layer.attention_norm, layer.qkv, cos, sin)
            query, key = torch.split(turned, [self.llama.shape.heads, self.llama.shape.kv_heads], dim=1)
            return attend(query, key, value)

        for layer in layers:
            x = steps.post_attention(x, attended(layer), layer.out, layer.mlp_norm, layer.gate_up, layer.down)
        return x

    def _last_layer(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, layout: Layout) -> torch.Tensor:
        """Run the last layer for the pooled rows only, in the pairs' order; the others give only keys and values."""
        shape, layer = self.llama.shape, self.llama.layers[-1]
        pooled = send(layout.pooled_rows, self.device)
        queries, keys_values = torch.split(layer.qkv, [shape.queries, 2 * shape.keys])
        key, value = self._plain.pre_attention(x, layer.attention_norm, keys_values, cos, sin)
        x = x[pooled]
        query = self._multiply(rms_norm(x, layer.attention_norm, shape.epsilon), queries)
        query = rotate(torch.unflatten(query, -1, (shape.heads, shape.head_size)), cos[pooled], sin[pooled])
        attended = self._plan(layout.pooled)(query, key, value)
        return self._plain.post_attention(x, attended, layer.out, layer.mlp_norm, layer.gate_up, layer.down)

    def _steps(self, rows: int) -> Steps:
        # A step compiled for any number of rows serves 2 and more: torch treats 1 as a constant.
        return self.compiled.steps if self.compiled is not None and rows > 1 else self._plain

    def _plan(self, segments: Sequence[Segment]) -> Attend:
        dtype = self.llama.embeddings.dtype
        return plan_attention(segments, device=self.device, dtype=dtype, invariant=self._invariant)
