"""The engines for every architecture: transformers' own forward pass over right-padded batches of similar length.

Pooling is done here from true lengths, not by the library from pad ids: for a text that ends in the pad token's own
name, the library would pool the wrong token.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.architecture import attention_window, check_slot, is_decoder
from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.engines.base import in_groups
from sidecar.scoring.engines.length_batching import plan_batches, restore_order
from sidecar.scoring.engines.padding import pad_id, pad_rows
from sidecar.scoring.prompt import Tokens

NAME = "transformers"
CARD = "card"
# Padded tokens in one batch: enough to fill a GPU, few enough for a CPU's caches. A decoder with billions of weights
# needs few, and small batches are padded less (3B, 100 pairs on an H200: 32 in a batch 251 ms, all 291).
MAX_TOKENS = {"cpu": 2048}
MAX_TOKENS_GPU = 32768
MAX_TOKENS_GPU_DECODER = 4096
MAX_TOKENS_GPU_ENCODER = 65536


class PaddedEngine:
    """A sequence classifier with one output.

    `batch_size` is the most pairs in one batch, `max_tokens` the most padded tokens (None: by device). Without
    `by_length` the pairs are batched in the order given, however long, as the model card's helper does.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, batch_size: int = 128, max_tokens: int | None = None, by_length: bool = True
    ) -> None:
        self.name = NAME if by_length else CARD
        self.model, self.manifest = checkpoint.model, checkpoint.manifest
        self.batch_size = batch_size
        self.device = checkpoint.model.device
        self._by_length = by_length
        self._decoder = is_decoder(checkpoint.model)
        most = MAX_TOKENS_GPU_DECODER if self._decoder else MAX_TOKENS_GPU
        self.max_tokens = max_tokens or MAX_TOKENS.get(self.device.type, most)
        self._pad_id = pad_id(checkpoint.tokenizer, decoder=self._decoder)
        check_slot(self.manifest, attention_window(checkpoint.model.config))
        if self.manifest.pooling == "last_slot" and not _takes_positions(self.model.base_model):
            raise ModelError(
                f"Pooling 'last_slot' does not go with {type(self.model).__name__}, which takes no position ids.",
                remedy="Use pooling last_token in the checkpoint's sidecar.json.",
            )

    def logits(self, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """Return one logit for each pair; batches span groups."""
        pairs = [pair for group in groups for pair in group]
        batches = self._batches([len(pair) for pair in pairs])
        logits = [self._logits([pairs[index] for index in batch]) for batch in batches]
        return in_groups(restore_order(batches, logits), groups)

    def _batches(self, lengths: list[int]) -> list[list[int]]:
        if self._by_length:
            return plan_batches(lengths, max_pairs=self.batch_size, max_tokens=self.max_tokens)
        starts = range(0, len(lengths), self.batch_size)
        return [list(range(start, min(start + self.batch_size, len(lengths)))) for start in starts]

    @torch.inference_mode()
    def _logits(self, pairs: list[Tokens]) -> list[float]:
        if not self._decoder:
            return self.model(**pad(pairs, self._pad_id, self.device)).logits[:, 0].float().tolist()  # type: ignore[no-any-return]
        inputs, pooled = self._decoder_inputs(pairs)
        hidden = self.model.base_model(**inputs, use_cache=False).last_hidden_state
        rows = hidden[torch.arange(len(pairs), device=hidden.device), pooled.to(hidden.device)]
        return self._head(rows)[:, 0].tolist()

    def _head(self, rows: torch.Tensor) -> torch.Tensor:
        head = self.model.score
        if type(head) is not torch.nn.Linear:
            # The head may be quantised or have adapter factors beside it: then only the module itself can compute it.
            weight = next(head.parameters())
            return head(rows.to(weight.device)).float()  # type: ignore[no-any-return]
        # The head in float32: a bf16 logit has 8 bits, so many of a window's 100 scores would be equal.
        return torch.nn.functional.linear(rows.to(head.weight.device).float(), head.weight.float())

    def _decoder_inputs(self, pairs: list[Tokens]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Make padded inputs and, for each pair, the index of the row to pool."""
        last = self.manifest.max_length - 1
        if self.manifest.pooling == "last_token":
            inputs = pad(pairs, self._pad_id, self.device)
            return inputs, inputs["attention_mask"].sum(1) - 1
        # With padding to max_length, the pooled token is an eos at the last position that attends to the real tokens
        # and to nothing else, itself included. The pads between neither attend nor are attended to: one slot stands for
        # all.
        probes = [Tokens([*pair.ids, self._pad_id]) if len(pair) <= last else pair for pair in pairs]
        inputs = pad(probes, self._pad_id, self.device)
        real = torch.tensor([len(pair) for pair in pairs], device=self.device)
        columns = torch.arange(inputs["input_ids"].shape[1], device=self.device).expand(len(pairs), -1)
        inputs["attention_mask"] = (columns < real[:, None]).long()
        inputs["position_ids"] = columns.where(columns < real[:, None], last)
        return inputs, real.clamp(max=last)


class PaddedEmbedder:
    """A sentence encoder: pooled as its manifest says, normalised."""

    name = NAME

    def __init__(self, checkpoint: Checkpoint, *, batch_size: int = 128) -> None:
        self.model, self.manifest = checkpoint.model, checkpoint.manifest
        self.batch_size = batch_size
        self.device = checkpoint.model.device
        self.max_tokens = MAX_TOKENS.get(self.device.type, MAX_TOKENS_GPU_ENCODER)
        self._pad_id = pad_id(checkpoint.tokenizer, decoder=False)

    @torch.inference_mode()
    def vectors(self, rows: Sequence[Tokens]) -> list[np.ndarray]:
        """Return one unit vector for each text."""
        found: dict[int, np.ndarray] = {}
        for batch in plan_batches([len(row) for row in rows], max_pairs=self.batch_size, max_tokens=self.max_tokens):
            inputs = pad([rows[index] for index in batch], self._pad_id, self.device)
            hidden = self.model(**inputs).last_hidden_state.float()
            pooled = self._pooled(hidden, inputs["attention_mask"].unsqueeze(-1).to(hidden.device))
            # Copied row by row: a view would keep the whole batch in memory while one row is cached.
            units = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
            found.update({index: row.copy() for index, row in zip(batch, units, strict=True)})
        return [found[index] for index in range(len(rows))]

    def _pooled(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Pool rows x longest x width to rows x width; `mask` is rows x longest x 1."""
        return hidden[:, 0] if self.manifest.pooling == "first_token" else (hidden * mask).sum(1) / mask.sum(1)


def _takes_positions(model: Any) -> bool:
    return "position_ids" in inspect.signature(model.forward).parameters


def pad(rows: Sequence[Tokens], pad_id: int, device: Any) -> dict[str, torch.Tensor]:
    """Right-pad to the longest row: `input_ids`, `attention_mask` (rows x longest), segment ids if there are any."""
    return {name: torch.from_numpy(values).to(device) for name, values in pad_rows(rows, pad_id).items()}
