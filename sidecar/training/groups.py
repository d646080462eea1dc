"""The unit of training: a query with the passages that are ranked against each other."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sidecar.core.candidates import Passage

# nDCG's gain is 2^label, so a grade of 10 outweighs a thousand of grade 1.
HIGHEST_LABEL = 10


@dataclass(frozen=True, slots=True)
class Group:
    """One query with its passages, the docid of each, and its label if it was judged (0 to `HIGHEST_LABEL`).

    `source` is where it was read, as `file:line`.
    """

    qid: str
    query: str
    docids: Sequence[str]
    passages: Sequence[Passage]
    labels: Sequence[int | None]
    source: str = ""

    @property
    def key(self) -> str:
        """Return a name by content: groups of the same query and documents have the same name in every file."""
        content = "\x00".join([self.query, *self.docids]).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=16).hexdigest()

    @property
    def positives(self) -> list[int]:
        """Return the indices of the passages with a label above 0."""
        return [index for index, label in enumerate(self.labels) if label]

    @property
    def has_contrast(self) -> bool:
        """True if the labels prefer one passage to another."""
        return len({label for label in self.labels if label is not None}) > 1

    def keep(self, indices: Iterable[int]) -> Group:
        """Return the group with only these passages, in this order."""
        chosen = list(indices)
        return Group(
            self.qid,
            self.query,
            [self.docids[index] for index in chosen],
            [self.passages[index] for index in chosen],
            [self.labels[index] for index in chosen],
            self.source,
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics to check before a long training: the size of the data, and its labels."""

    queries: int
    passages: int
    labels: dict[int | None, int]
    smallest: int
    largest: int

    def __str__(self) -> str:
        """Return one line."""
        order = sorted(self.labels, key=lambda label: -1 if label is None else label)
        shown = ", ".join(f"{self.labels[label]:,} × {'–' if label is None else label}" for label in order)
        sizes = f"{self.smallest}" if self.smallest == self.largest else f"{self.smallest}–{self.largest}"
        return f"{self.queries:,} queries, {self.passages:,} passages ({sizes} a query), labels {shown}"


def statistics(groups: Sequence[Group]) -> Statistics:
    """Return the statistics of at least one group."""
    sizes = [len(group.passages) for group in groups]
    labels = Counter(label for group in groups for label in group.labels)
    return Statistics(len(groups), sum(sizes), dict(labels), min(sizes), max(sizes))
