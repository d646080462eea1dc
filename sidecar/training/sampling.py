"""Choose the passages of a query for an epoch, and the queries of a batch: a function of seed and epoch alone.

So an interrupted training continues with the same batches.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from sidecar.training.groups import Group

# Batches whose queries are sorted by length together: much less padding, and the order is still random.
TOGETHER = 50


def choose_passages(group: Group, size: int, *, seed: int, epoch: int) -> list[int]:
    """Return the indices of at most `size` passages: a random positive first, then random passages of a lower label.

    In a group without contrast (its teachers judge it) all are random.
    """
    chance = random.Random(f"{seed} {epoch} {group.key}")  # noqa: S311  a random order, not a secret
    indices = list(range(len(group.passages)))
    if not group.has_contrast:
        return chance.sample(indices, min(size, len(indices)))
    labels = [label or 0 for label in group.labels]
    best = chance.choice([index for index in indices if labels[index] > min(labels)])
    lower = [index for index in indices if labels[index] < labels[best]]
    return [best, *chance.sample(lower, min(size - 1, len(lower)))]


class Batches:
    """Batches of (epoch, index of a group), those of similar length together, in a random order.

    `lengths` need only tell longer from shorter. The last batch of an epoch may be smaller.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int) -> None:
        self.batch_size = batch_size
        self.drop_last = False
        self.epoch = 0
        self._lengths = lengths
        self._seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self._lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        chance = random.Random(f"{self._seed} {self.epoch}")  # noqa: S311
        order = list(range(len(self._lengths)))
        chance.shuffle(order)
        span = self.batch_size * TOGETHER
        batches = []
        for start in range(0, len(order), span):
            near = sorted(order[start : start + span], key=lambda index: self._lengths[index])
            batches += [near[at : at + self.batch_size] for at in range(0, len(near), self.batch_size)]
        chance.shuffle(batches)
        return iter([[(self.epoch, index) for index in batch] for batch in batches])


def rough_length(group: Group, longest: int) -> int:
    """Return the approximate characters of a pair of this group, at most `longest`."""
    passages = sorted(min(len(passage.title) + len(passage.text), longest) for passage in group.passages)
    return len(group.query) + passages[len(passages) // 2]
