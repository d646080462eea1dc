"""Texts in one sequence of rows without padding, and the attention within each of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch

from sidecar.scoring.engines.packed.architectures import AttentionKind
from sidecar.scoring.engines.packed.attention import Attend, plan_attention
from sidecar.scoring.engines.packed.layout import Segment, cu_seqlens
from sidecar.scoring.engines.packed.transfer import send
from sidecar.scoring.engines.packed_encoders.block import Tables
from sidecar.scoring.engines.packed_encoders.weights import BIDIRECTIONAL, Rotation
from sidecar.scoring.prompt import Tokens


class PackedTexts:
    """One batch on a device. T rows hold N texts; `ids`, `types` and `positions` are T int64 values each.

    `lengths` are the texts' numbers of rows, `first` the index of each text's first row. What layers of a kind have in
    common is computed once.
    """

    def __init__(self, texts: Sequence[Tokens], *, device: torch.device, dtype: torch.dtype) -> None:
        lengths = [len(text) for text in texts]
        self._ends, self._device, self._dtype = cu_seqlens(lengths), device, dtype
        self._plans: dict[AttentionKind, Attend] = {}
        self._tables: dict[Rotation, Tables] = {}
        self.ids = send(list(itertools.chain.from_iterable(text.ids for text in texts)), device)
        types = itertools.chain.from_iterable(text.types or [0] * len(text) for text in texts)
        self.types = send(list(types), device)
        self.positions = send(np.concatenate([np.arange(length) for length in lengths]), device)
        self.lengths, self.first = send(lengths, device), send(self._ends[:-1], device)

    def tables(self, rotation: Rotation | None) -> Tables | None:
        """Return the cosines and sines of all rows; None if nothing is rotated."""
        if rotation is None:
            return None
        if rotation not in self._tables:
            places = self.positions
            self._tables[rotation] = rotation.cos.index_select(0, places), rotation.sin.index_select(0, places)
        return self._tables[rotation]

    def attend(self, kind: AttentionKind) -> Attend:
        """Return the attention of all rows, each within its own text."""
        if kind not in self._plans:
            self._plans[kind] = self._plan([Segment(rows, (rows,)) for rows in self._texts()], kind)
        return self._plans[kind]

    def attend_first(self, kind: AttentionKind) -> Attend:
        """Return the attention of the texts' first rows: N queries, in order, to the keys of all rows."""
        # A first row sees all keys but those beyond its window.
        after = kind.window[1]
        seen = None if after < 0 else after + 1
        return self._plan([Segment(rows[:1], (rows[:seen],)) for rows in self._texts()], BIDIRECTIONAL)

    def _plan(self, segments: Sequence[Segment], kind: AttentionKind) -> Attend:
        return plan_attention(segments, kind, device=self._device, dtype=self._dtype)

    def _texts(self) -> list[range]:
        return [range(start, end) for start, end in itertools.pairwise(self._ends)]
