"""The last scores, so that a search's pages are slices of one list and need one scoring. Bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ScoreCache(Generic[Value]):
    """At most `size` scores (about 200 bytes each); the least recently used is removed first; 0 keeps none."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hits = self.misses = 0
        self._scores: OrderedDict[bytes, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scores)

    def look_up(self, keys: Sequence[bytes]) -> list[Value | None]:
        """Return the score of each key and mark it as used last; None if there is none."""
        found = [self._scores.get(key) for key in keys]
        for key, score in zip(keys, found, strict=True):
            if score is not None:
                self._scores.move_to_end(key)
        known = sum(score is not None for score in found)
        self.hits += known
        self.misses += len(found) - known
        return found

    def keep(self, key: bytes, score: Value) -> None:
        """Keep a score."""
        self._scores[key] = score
        if len(self._scores) > self.size:
            self._scores.popitem(last=False)
