"""The order of the documents in a run, as trec_eval reads it, and what is irregular in a run's file. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sidecar.core.float32 import single

# Query id → docid → score, and query id → docids best first.
Scores = Mapping[str, Mapping[str, float]]
Order = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Irregular:
    """The queries of a run with `ties` (equal scores), and those that are `unsorted` (a score rises in the file)."""

    ties: Sequence[str] = ()
    unsorted: Sequence[str] = ()

    def words(self) -> str:
        """Say what was found and how it is read, in one line; empty if all is regular."""
        found = []
        if self.ties:
            found.append(f"{len(self.ties)} queries have equal scores, which trec_eval orders by falling document id")
        if self.unsorted:
            found.append(f"{len(self.unsorted)} queries are not sorted by falling score, and are read by their scores")
        return "; ".join(found)


def best_first(scores: Mapping[str, float]) -> list[str]:
    """Return the docids of one query in trec_eval's order.

    Scores fall, compared in single precision; equal scores are ordered by falling docid.
    """
    return sorted(sorted(scores, reverse=True), key=lambda docid: -_single(scores[docid]))


def order_of(run: Scores) -> Order:
    """Return the docids of each query in trec_eval's order."""
    return {qid: best_first(scores) for qid, scores in run.items()}


def irregular(run: Scores) -> Irregular:
    """Find the queries of a run whose order does not follow from the file alone; `run` has the order of the file."""
    ties, unsorted = [], []
    for qid, scores in run.items():
        values = [_single(score) for score in scores.values()]
        if len(set(values)) < len(values):
            ties.append(qid)
        if any(above < below for above, below in pairwise(values)):
            unsorted.append(qid)
    return Irregular(ties, unsorted)


def _single(score: float) -> float:
    try:
        return single(score)
    except OverflowError:  # C's conversion gives an infinity
        return math.copysign(math.inf, score)
