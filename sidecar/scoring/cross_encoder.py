"""Scores a query with each passage together: tokenise, sort by length, batch, forward, pool, restore the order.

Pooling is done here from true lengths, not by the library from pad ids: a text that ends in the pad token's own name
would pool the wrong token there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sidecar.candidates import Passage, Score
from sidecar.errors import ModelError, NonFiniteScore
from sidecar.scoring.architecture import check_length, reads_segments
from sidecar.scoring.checkpoint import Checkpoint, is_decoder
from sidecar.scoring.manifest import Manifest
from sidecar.scoring.mapping import Mapping
from sidecar.scoring.packing import plan_batches, restore_order
from sidecar.scoring.prompt import Prompt, Tokens

# Padded tokens in one batch: enough to fill a GPU, few enough that a CPU's caches are not flooded.
MAX_TOKENS = {"cpu": 2048}
MAX_TOKENS_GPU = 32768


class CrossEncoder:
    """A sequence classifier with one output, as a Scorer. Its scores are float32 logits.

    `batch_size` is the most pairs in one batch, `max_tokens` the most padded tokens (None: by device).
    """

    def __init__(self, checkpoint: Checkpoint, *, batch_size: int = 128, max_tokens: int | None = None) -> None:
        self.checkpoint = checkpoint
        check_length(checkpoint.manifest, checkpoint.model)
        segments = reads_segments(checkpoint.model)
        self.prompt = Prompt(checkpoint.tokenizer, checkpoint.manifest, segments=segments)
        self.batch_size = batch_size
        self.device = checkpoint.model.device
        self.max_tokens = max_tokens or MAX_TOKENS.get(self.device.type, MAX_TOKENS_GPU)
        self._decoder = is_decoder(checkpoint.model)
        pooling = checkpoint.manifest.pooling
        if (pooling == "model") == self._decoder:
            raise ModelError(
                f"Pooling {pooling!r} does not go with {type(checkpoint.model).__name__}.",
                remedy="Decoders pool last_token or last_slot, encoders model: correct the checkpoint's sidecar.json.",
            )

    @property
    def name(self) -> str:
        """What the user called the model."""
        return self.checkpoint.name

    @property
    def manifest(self) -> Manifest:
        """How the model reads pairs."""
        return self.checkpoint.manifest

    @property
    def mapping(self) -> Mapping:
        """What makes a score between 0 and 1 of a raw one."""
        return self.checkpoint.manifest.mapping

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """One logit for each passage, in the order given. Raises NonFiniteScore."""
        pairs = self.prompt.pairs(query, passages)
        batches = plan_batches([len(pair) for pair in pairs], max_pairs=self.batch_size, max_tokens=self.max_tokens)
        logits = [self._logits([pairs[index] for index in batch]) for batch in batches]
        values = check_finite(restore_order(batches, logits), self.name)
        return [Score(value, pair.truncated) for value, pair in zip(values, pairs, strict=True)]

    @torch.inference_mode()
    def _logits(self, pairs: list[Tokens]) -> list[float]:
        model = self.checkpoint.model
        if not self._decoder:
            return model(**pad(pairs, self._pad_id, self.device)).logits[:, 0].float().tolist()  # type: ignore[no-any-return]
        inputs, pooled = self._decoder_inputs(pairs)
        hidden = model.model(**inputs, use_cache=False).last_hidden_state
        rows = hidden[torch.arange(len(pairs), device=hidden.device), pooled.to(hidden.device)]
        # The head in float32: a bf16 logit has 8 bits, and a window of 100 would be full of ties.
        weight = model.score.weight
        return torch.nn.functional.linear(rows.to(weight.device).float(), weight.float())[:, 0].tolist()

    def _decoder_inputs(self, pairs: list[Tokens]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Make padded inputs and, for each pair, the index of the row to pool."""
        last = self.checkpoint.manifest.max_length - 1
        if self.checkpoint.manifest.pooling == "last_token":
            inputs = pad(pairs, self._pad_id, self.device)
            return inputs, inputs["attention_mask"].sum(1) - 1
        # What padding to max_length pools is an eos at the last position that attends to the real tokens and to
        # nothing else, itself included. The pads between see nobody and are seen by nobody: one slot stands for all.
        probes = [Tokens([*pair.ids, self._pad_id]) if len(pair) <= last else pair for pair in pairs]
        inputs = pad(probes, self._pad_id, self.device)
        real = torch.tensor([len(pair) for pair in pairs], device=self.device)
        columns = torch.arange(inputs["input_ids"].shape[1], device=self.device).expand(len(pairs), -1)
        inputs["attention_mask"] = (columns < real[:, None]).long()
        inputs["position_ids"] = columns.where(columns < real[:, None], last)
        return inputs, real.clamp(max=last)

    @property
    def _pad_id(self) -> int:
        tokenizer = self.checkpoint.tokenizer
        ids = (tokenizer.pad_token_id if not self._decoder else None, tokenizer.eos_token_id, tokenizer.pad_token_id)
        return next((int(pad_id) for pad_id in ids if pad_id is not None), 0)


def pad(rows: Sequence[Tokens], pad_id: int, device: Any) -> dict[str, torch.Tensor]:
    """Right-pad to the longest row: `input_ids`, `attention_mask` (rows x longest), segment ids where there are any."""
    longest = max(len(row) for row in rows)

    def padded(values: list[list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([row + [fill] * (longest - len(row)) for row in values], device=device)

    inputs = {
        "input_ids": padded([row.ids for row in rows], pad_id),
        "attention_mask": padded([[1] * len(row) for row in rows], 0),
    }
    types = [row.types for row in rows if row.types is not None]
    if types:
        inputs["token_type_ids"] = padded(types, 0)
    return inputs


def check_finite(scores: list[float], name: str) -> list[float]:
    """Return the scores, or raise NonFiniteScore if one is NaN or infinite."""
    bad = [index for index, score in enumerate(scores) if score - score != 0]
    if bad:
        raise NonFiniteScore(
            f"{name} scored {len(bad)} of {len(scores)} passages as NaN or infinity, the first at index {bad[0]}.",
            remedy="Check the weights, or use --dtype float32 (float16 overflows with some models).",
        )
    return scores
