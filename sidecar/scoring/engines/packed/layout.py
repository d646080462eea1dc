"""The packed layout: each token's row, and the rows that each row sees. Integers in, integers out.

A batch is one sequence of rows without padding. A group's pairs begin with the same ids (the query, second bos and
all); these rows are laid out once, the rest of each pair after them:

    [prefix][suffix 1][suffix 2] … [prefix of the next group][suffix 1] …

A suffix sees its group's prefix and, causally, itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sidecar.core.errors import ConfigurationError

Ids = list[int]


@dataclass(frozen=True, slots=True)
class Part:
    """Pairs of one group that go to the device together; the first `shared` ids of each are the same."""

    pairs: Sequence[Ids]
    shared: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A row for `last_slot` to pool: an eos at the last position, which sees a pair's tokens but not itself."""

    token: int
    position: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive rows that see the same keys. The last row stands at the last key, each row before it one earlier.

    A causal row sees the keys up to its own; `architectures.AttentionKind` says what other rows see.
    """

    rows: range
    keys: tuple[range, ...]

    @property
    def seen(self) -> int:
        """Return how many keys the last row sees if it is causal."""
        return sum(map(len, self.keys))


@dataclass(frozen=True, slots=True)
class Layout:
    """One batch. `segments` cover all rows in order; `pooled` has one segment of a single row for each pair."""

    ids: list[int]
    positions: list[int]
    segments: list[Segment]
    pooled: list[Segment]

    @property
    def pooled_rows(self) -> list[int]:
        """Return the pooled row of each pair."""
        return [segment.rows.start for segment in self.pooled]


def shared_prefix(pairs: Sequence[Ids]) -> int:
    """Return how many first ids all pairs share; at least one id of each is left, even if another begins with it."""
    if len(pairs) < 2:
        return 0
    # The common prefix of the smallest and the largest is common to all between them.
    columns = zip(min(pairs), max(pairs), strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda column: column[0] == column[1], columns))
    return min(same, min(map(len, pairs)) - 1)


def distinct(pairs: Sequence[Ids]) -> tuple[list[Ids], list[int]]:
    """Return the pairs without repetition, and for each given pair its index among them."""
    found: dict[tuple[int, ...], int] = {}
    places = [found.setdefault(tuple(pair), len(found)) for pair in pairs]
    return [list(pair) for pair in found], places


def cut(groups: Sequence[Sequence[Ids]], *, max_pairs: int, max_tokens: int, share: bool = True) -> list[list[Part]]:
    """Fill batches with the pairs in the order given. Returns the parts of each batch.

    A batch holds at most `max_pairs` pairs and `max_tokens` rows; a single pair beyond `max_tokens` gets its own batch.
    A group that does not fit is cut, and its prefix computed in each batch. Raises ConfigurationError if a
    batch can hold nothing.
    """
    if max_pairs < 1 or max_tokens < 1:
        raise ConfigurationError(
            f"A batch of {max_pairs} pairs and {max_tokens} tokens can hold nothing.", remedy="Give at least 1 of each."
        )
    batches: list[list[Part]] = []
    pairs_left = tokens_left = 0
    for group in groups:
        shared = shared_prefix(group) if share else 0
        part: list[Ids] = []
        for pair in group:
            cost = len(pair) - (shared if part else 0)
            if not pairs_left or cost > tokens_left:
                batches.append([])
                pairs_left, tokens_left, part, cost = max_pairs, max_tokens, [], len(pair)
            if not part:
                batches[-1].append(Part(part, shared))
            part.append(pair)
            pairs_left, tokens_left = pairs_left - 1, tokens_left - cost
    return batches


def lay_out(parts: Sequence[Part], slot: Slot | None = None) -> Layout:
    """Give every token its row. A `slot` is pooled if the pair leaves it free; else the last token is."""
    layout = Layout([], [], [], [])
    for part in parts:
        prefix = _add(layout, part.pairs[0][: part.shared], 0, ())
        for pair in part.pairs:
            keys = _add(layout, pair[part.shared :], part.shared, prefix)
            last = keys[-1][-1:]
            if slot is not None and len(pair) <= slot.position:
                last = range(len(layout.ids), len(layout.ids) + 1)
                layout.ids.append(slot.token)
                layout.positions.append(slot.position)
                layout.segments.append(Segment(last, keys))
            layout.pooled.append(Segment(last, keys))
    return layout


def key_rows(segments: Sequence[Segment]) -> np.ndarray:
    """Return the rows (int64) of all segments' keys, one segment after the other."""
    return np.concatenate([np.arange(keys.start, keys.stop) for segment in segments for keys in segment.keys])


def cu_seqlens(lengths: Sequence[int]) -> list[int]:
    """Return the start of each of consecutive ranges, and the end of the last one."""
    return [0, *itertools.accumulate(lengths)]


def _add(layout: Layout, ids: Ids, position: int, before: tuple[range, ...]) -> tuple[range, ...]:
    """Append rows that see themselves and the rows before; returns the keys that their last row sees."""
    if not ids:
        return before
    rows = range(len(layout.ids), len(layout.ids) + len(ids))
    layout.ids.extend(ids)
    layout.positions.extend(range(position, position + len(ids)))
    layout.segments.append(Segment(rows, (*before, rows)))
    return (*before, rows)
