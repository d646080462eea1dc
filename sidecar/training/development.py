"""Measure a model while it is trained: nDCG@10 over candidate lists, scored as the service scores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.candidates import Candidate
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.evaluate import mean_of
from sidecar.experiments.qrels import Qrels, read_qrels
from sidecar.scoring import Scorer

MEASURE = "nDCG@10"
# The measure of lists that begin with everything relevant, as positives before negatives do: no first stage's order.
PERFECT = 1 - 1e-9
# Fewer queries than this are said to be few.
FEW = 20


@dataclass(frozen=True, slots=True)
class Development:
    """Queries with their candidates best first, and the relevant ones: by the lists' own labels, or by qrels."""

    queries: Sequence[tuple[str, str, Sequence[Candidate]]]
    qrels: Qrels

    def first_stage(self) -> float:
        """Return the measure of the lists in their given order."""
        return self._figure([[float(-candidate.rank) for candidate in found] for _, _, found in self.queries])

    def measure(self, scorer: Scorer) -> float:
        """Return the measure of a model; candidates without text come last, as they do in a search."""
        return self._figure([_scores(scorer, query, found) for _, query, found in self.queries])

    def _figure(self, scores: Sequence[Sequence[float]]) -> float:
        run = {
            qid: {candidate.docid: score for candidate, score in zip(found, values, strict=True)}
            for (qid, _, found), values in zip(self.queries, scores, strict=True)
        }
        return mean_of(MEASURE, run, self.qrels)


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of a training: the measure of `queries` lists by the trained model, and by what was there before.

    `first_stage` is that of the lists' given order, None if that order puts all that is relevant first, as positives
    before negatives do. `start` is that of the model that the training began with, None if that can't rank yet.
    `chosen` is True if the checkpoint was chosen on the same lists, which makes its figure a little too good.
    """

    queries: int
    trained: float
    first_stage: float | None
    start: float | None
    chosen: bool

    @property
    def lost_to(self) -> list[str]:
        """Name what ranks better than the trained model."""
        others = {"the order that came in": self.first_stage, "the model that it started from": self.start}
        return [f"{name} ({value:.4f})" for name, value in others.items() if value is not None and value > self.trained]

    def __str__(self) -> str:
        """Return one line."""
        lists = "development lists, on which the checkpoint was chosen" if self.chosen else "held-out queries"
        few = " (so few show only large differences)" if self.queries < FEW else ""
        figures = [f"trained {self.trained:.4f}"]
        if self.first_stage is not None:
            figures.append(f"the order that came in {self.first_stage:.4f}")
        if self.start is not None:
            figures.append(f"the model that it started from {self.start:.4f}")
        return f"{MEASURE} on {self.queries} {lists}{few}: {', '.join(figures)}"


def read_development(path: Path, fields: PassageFields, *, qrels: Path | None, depth: int) -> Development:
    """Read the first `depth` candidates of each judged query. Raises InputError if none is relevant.

    It also raises InputError for candidates without an order, since their first `depth` are unknown.
    """
    judged = read_qrels(qrels) if qrels is not None else {}
    queries = []
    for found in read_candidates(path, fields):
        if not found.ordered:
            raise InputError(
                f"{found.source}: the candidates of query {found.qid!r} have no order.",
                remedy="Give development lists in first-stage order, as `sidecar mine` writes them.",
            )
        if qrels is None:
            labels = {c.docid: label for c, label in zip(found.candidates, found.labels, strict=True) if label}
            judged.update({found.qid: labels} if labels else {})
        if any(grade > 0 for grade in judged.get(found.qid, {}).values()):
            queries.append((found.qid, found.query, found.candidates[:depth]))
    if not queries:
        raise InputError(
            f"{path} has no query with a relevant candidate.", remedy="Give --development-qrels, or lists with labels."
        )
    kept = {qid for qid, _, _ in queries}
    return Development(queries, {qid: grades for qid, grades in judged.items() if qid in kept})


def _scores(scorer: Scorer, query: str, candidates: Sequence[Candidate]) -> list[float]:
    readable = [candidate for candidate in candidates if not candidate.passage.is_empty]
    found = {
        candidate.docid: score.value
        for candidate, score in zip(
            readable, scorer.score(query, [candidate.passage for candidate in readable]), strict=True
        )
    }
    below = min(found.values(), default=0.0)
    return [found.get(candidate.docid, below - candidate.rank) for candidate in candidates]
