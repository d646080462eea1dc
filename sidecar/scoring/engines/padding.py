"""Pad rows of token ids on the right to rectangles of integers. Knows no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sidecar.scoring.prompt import Tokens


def pad_id(tokenizer: Any, *, decoder: bool) -> int:
    """Return the id to pad with: eos for a decoder, as the cards do; 0 if a tokenizer names none."""
    ids = (tokenizer.pad_token_id if not decoder else None, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return next((int(found) for found in ids if found is not None), 0)


def pad_rows(rows: Sequence[Tokens], pad_id: int) -> dict[str, np.ndarray]:
    """Pad to the longest row: `input_ids`, `attention_mask` and, if the rows have them, segment ids, all int64."""
    longest = max(len(row) for row in rows)

    def padded(values: list[list[int]], fill: int) -> np.ndarray:
        return np.array([row + [fill] * (longest - len(row)) for row in values], dtype=np.int64)

    inputs = {
        "input_ids": padded([row.ids for row in rows], pad_id),
        "attention_mask": padded([[1] * len(row) for row in rows], 0),
    }
    types = [row.types for row in rows if row.types is not None]
    if types:
        inputs["token_type_ids"] = padded(types, 0)
    return inputs
