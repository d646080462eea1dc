"""The engines: batches of packed texts in, one logit or one unit vector for each text out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import normalize

from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.engines.base import in_groups
from sidecar.scoring.engines.length_batching import plan_batches, restore_order
from sidecar.scoring.engines.names import PACKED
from sidecar.scoring.engines.packed.layout import distinct
from sidecar.scoring.engines.packed_encoders.forward import Forward
from sidecar.scoring.engines.packed_encoders.weights import encoder_of
from sidecar.scoring.engines.transformers import MAX_TOKENS, MAX_TOKENS_GPU, MAX_TOKENS_GPU_ENCODER
from sidecar.scoring.prompt import Tokens


class PackedEncoder:
    """A sequence classifier with one output; batches span groups.

    `batch_size` is the most pairs in one batch, `max_tokens` the most rows (None: by device). The checkpoint must have
    no obstacle (`readable.find_obstacle`).
    """

    name = PACKED

    def __init__(self, checkpoint: Checkpoint, *, batch_size: int = 128, max_tokens: int | None = None) -> None:
        encoder = encoder_of(checkpoint.model, positions=checkpoint.manifest.max_length)
        if encoder.head is None:
            raise ValueError("a cross-encoder has a head")
        self._head = encoder.head
        self._forward = Forward(encoder, mean=getattr(checkpoint.model.config, "classifier_pooling", "cls") == "mean")
        self.device = self._forward.device
        self.batch_size = batch_size
        self.max_tokens = max_tokens or MAX_TOKENS.get(self.device.type, MAX_TOKENS_GPU)

    @torch.inference_mode()
    def logits(self, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """Return one logit for each pair. Equal pairs are scored once, so their scores are equal."""
        pairs = [pair for group in groups for pair in group]
        _, places = distinct([[*pair.ids, *(pair.types or ())] for pair in pairs])
        own = list(dict(zip(places, pairs, strict=True)).values())
        batches = plan_batches([len(pair) for pair in own], max_pairs=self.batch_size, max_tokens=self.max_tokens)
        # Nothing waits for the GPU before the end: it computes a batch while the next one is packed.
        computed = [self._head(self._forward.pooled([own[index] for index in batch])) for batch in batches]
        logits = restore_order(batches, in_groups(torch.cat(computed).tolist() if computed else [], batches))
        return in_groups([logits[place] for place in places], groups)


class PackedEmbedder:
    """A sentence encoder: pooled as its manifest says, normalised. The arguments are those of `PackedEncoder`."""

    name = PACKED

    def __init__(self, checkpoint: Checkpoint, *, batch_size: int = 128, max_tokens: int | None = None) -> None:
        encoder = encoder_of(checkpoint.model, positions=checkpoint.manifest.max_length)
        self._forward = Forward(encoder, mean=checkpoint.manifest.pooling == "mean")
        self.device = self._forward.device
        self.batch_size = batch_size
        self.max_tokens = max_tokens or MAX_TOKENS.get(self.device.type, MAX_TOKENS_GPU_ENCODER)

    @torch.inference_mode()
    def vectors(self, rows: Sequence[Tokens]) -> list[np.ndarray]:
        """Return one unit vector for each text."""
        batches = plan_batches([len(row) for row in rows], max_pairs=self.batch_size, max_tokens=self.max_tokens)
        computed = [self._forward.pooled([rows[index] for index in batch]) for batch in batches]
        found: dict[int, np.ndarray] = {}
        for batch, pooled in zip(batches, computed, strict=True):
            units = normalize(pooled, dim=1).cpu().numpy()
            # Copied row by row: a view would keep the whole batch in memory while one row is cached.
            found.update({index: row.copy() for index, row in zip(batch, units, strict=True)})
        return [found[index] for index in range(len(rows))]
