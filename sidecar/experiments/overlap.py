"""How two rankings differ without judgements: rank-biased overlap, Jaccard at a depth, and moves. No I/O.

A ranking is a sequence of document ids, best first, each id once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.errors import ConfigurationError
from sidecar.core.listing import some_of

# The persistence of a reader who looks at ten documents on average: 1 / (1 - p).
PERSISTENCE = 0.9
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Moved:
    """A document in one or both of two rankings, with its rank in each (from 1); None if a ranking lacks it."""

    docid: str
    before: int | None
    after: int | None

    def places(self, length_before: int, length_after: int) -> int:
        """Return how many places it rose (negative: fell); a ranking that lacks it counts as one that has it last."""
        return (self.before or length_before + 1) - (self.after or length_after + 1)


@dataclass(frozen=True, slots=True)
class Pairing:
    """The queries of two runs: in `both`, in the `first` alone, and in the `second` alone; each in its run's order."""

    both: Sequence[str]
    first: Sequence[str]
    second: Sequence[str]

    def words(self, first: str, second: str) -> str:
        """Say which queries are in one run alone; empty if there are none. The arguments name the runs."""
        sides = [(self.first, first), (self.second, second)]
        return "; ".join(f"{len(qids)} queries are only in {name}: {some_of(qids)}" for qids, name in sides if qids)


@dataclass(frozen=True, slots=True)
class Overlap:
    """The overlap of two rankings of one query.

    `rbo` is the extrapolated rank-biased overlap of the whole rankings, from 0 to 1. `jaccard` is the size of the
    intersection of both tops divided by that of their union, `kept` the number of documents in both tops.
    """

    qid: str
    rbo: float
    jaccard: float
    kept: int


def pair(first: Mapping[str, object], second: Mapping[str, object]) -> Pairing:
    """Find the queries that two runs share, and those that only one has."""
    return Pairing(
        [qid for qid in first if qid in second],
        [qid for qid in first if qid not in second],
        [qid for qid in second if qid not in first],
    )


def rank_biased_overlap(first: Sequence[str], second: Sequence[str], p: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two rankings, of any two lengths, from 0 to 1.

    The weight of depth d is proportional to p^(d-1): equation 32 of Webber, Moffat and Zobel, "A similarity measure
    for indefinite rankings", ACM TOIS 28(4), 2010. Two empty rankings are equal (1); one empty ranking shares nothing
    (0). Raises `ConfigurationError` unless 0 < p < 1.
    """
    if not 0 < p < 1:
        raise ConfigurationError(
            f"the persistence of rank-biased overlap is {p}, not between 0 and 1.",
            remedy="0.9 weighs about the first ten documents, 0.98 about the first fifty.",
        )
    short, long = sorted((first, second), key=len)
    if not short:
        return 0.0 if long else 1.0
    overlaps = _overlaps(short, long)
    at_short, at_long = overlaps[len(short) - 1], overlaps[-1]
    total = sum(shared / depth * p**depth for depth, shared in enumerate(overlaps, start=1))
    total += sum(
        at_short * (depth - len(short)) / (len(short) * depth) * p**depth
        for depth in range(len(short) + 1, len(long) + 1)
    )
    rest = (at_long - at_short) / len(long) + at_short / len(short)
    return min(1.0, (1 - p) / p * total + rest * p ** len(long))


def jaccard(first: Sequence[str], second: Sequence[str], depth: int = DEPTH) -> float:
    """Return the share of the documents in either top that both tops have; 1 if both are empty."""
    tops = set(first[:depth]), set(second[:depth])
    union = tops[0] | tops[1]
    return len(tops[0] & tops[1]) / len(union) if union else 1.0


def moves(before: Sequence[str], after: Sequence[str], depth: int = DEPTH) -> list[Moved]:
    """Return each document in the top `depth` of either ranking: those of `after` by rank, then those that left."""
    was = {docid: rank for rank, docid in enumerate(before, start=1)}
    now = {docid: rank for rank, docid in enumerate(after, start=1)}
    shown = dict.fromkeys([*after[:depth], *before[:depth]])
    return [Moved(docid, was.get(docid), now.get(docid)) for docid in shown]


def overlaps(
    first: Mapping[str, Sequence[str]],
    second: Mapping[str, Sequence[str]],
    *,
    p: float = PERSISTENCE,
    depth: int = DEPTH,
) -> list[Overlap]:
    """Compare the queries that two runs share, those that differ most first; equal ones keep the first run's order."""
    found = []
    for qid in pair(first, second).both:
        one, two = first[qid], second[qid]
        kept = len(set(one[:depth]) & set(two[:depth]))
        found.append(Overlap(qid, rank_biased_overlap(one, two, p), jaccard(one, two, depth), kept))
    return sorted(found, key=lambda overlap: overlap.rbo)


def _overlaps(short: Sequence[str], long: Sequence[str]) -> list[int]:
    """Return the number of shared documents at each depth of the longer ranking."""
    seen: set[str] = set()
    shared, found = 0, []
    for depth, docid in enumerate(long):
        for one in [docid, *([short[depth]] if depth < len(short) else [])]:
            shared += one in seen
            seen.add(one)
        found.append(shared)
    return found
