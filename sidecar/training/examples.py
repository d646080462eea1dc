"""Turn groups into tensors: the passages of an epoch, tokenised by our own prompt, in batches of similar lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sidecar.scoring.engines.length_batching import plan_batches
from sidecar.scoring.engines.transformers import pad
from sidecar.scoring.prompt import Prompt, Tokens
from sidecar.training.groups import Group
from sidecar.training.sampling import choose_passages, rough_length

# More pairs than any batch has: only tokens limit a forward pass.
NO_LIMIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Example:
    """A query's passages of one epoch, tokenised, with the labels and scores of each."""

    rows: Sequence[Tokens]
    labels: Sequence[float]
    teacher: Sequence[float] | None


class Examples(torch.utils.data.Dataset[Example]):
    """Groups by (epoch, index); `teacher` are the teachers' mixed scores of each group's passages."""

    def __init__(
        self,
        groups: Sequence[Group],
        teacher: Sequence[Sequence[float]] | None,
        prompt: Prompt,
        *,
        passages: int,
        seed: int,
    ) -> None:
        self.groups, self._teacher, self._prompt = groups, teacher, prompt
        self._passages, self._seed = passages, seed

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, pick: tuple[int, int]) -> Example:
        epoch, index = pick
        group = self.groups[index]
        chosen = choose_passages(group, self._passages, seed=self._seed, epoch=epoch)
        rows = self._prompt.pairs(group.query, [group.passages[at] for at in chosen])
        labels = [float(group.labels[at] or 0) for at in chosen]
        return Example(rows, labels, None if self._teacher is None else [self._teacher[index][at] for at in chosen])

    def lengths(self) -> list[int]:
        """Return the approximate length of each group's pairs, in characters."""
        longest = 4 * self._prompt.manifest.max_length
        return [rough_length(group, longest) for group in self.groups]


class Collator:
    """Makes one batch out of examples.

    It holds `passes` (padded inputs), `order` (the position of each of their rows), and groups x passages of `labels`,
    `teacher` (if there is one) and `mask`. Rows are sorted by length, and a forward pass has at most `max_tokens`
    tokens with its padding (None: all rows in one pass).
    """

    def __init__(self, pad_id: int, *, max_tokens: int | None) -> None:
        self._pad_id = pad_id
        self._max_tokens = max_tokens or NO_LIMIT

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Collate the examples of one batch."""
        rows = [row for example in examples for row in example.rows]
        passes = plan_batches([len(row) for row in rows], max_pairs=len(rows), max_tokens=self._max_tokens)
        widest = max(len(example.rows) for example in examples)
        batch: dict[str, Any] = {
            "passes": [pad([rows[index] for index in each], self._pad_id, "cpu") for each in passes],
            "order": torch.tensor([index for each in passes for index in each]),
            "labels": _filled([example.labels for example in examples], widest),
            "mask": torch.tensor([[at < len(example.rows) for at in range(widest)] for example in examples]),
        }
        taught = [example.teacher for example in examples if example.teacher is not None]
        return {**batch, "teacher": _filled(taught, widest)} if taught else batch


def in_groups(logits: Tensor, batch: Mapping[str, Any]) -> Tensor:
    """Arrange a student's logits as groups x passages, 0 for missing passages."""
    mask: Tensor = batch["mask"]
    placed = logits[batch["order"].argsort()]
    return torch.zeros(mask.shape, dtype=logits.dtype, device=logits.device).masked_scatter(mask, placed)


def _filled(values: Sequence[Sequence[float]], width: int) -> Tensor:
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in values])
