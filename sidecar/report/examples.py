"""Queries that two runs order differently, side by side with the texts of their hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from sidecar.core.corpus import read_corpus
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.overlap import moves
from sidecar.experiments.topics import read_topics
from sidecar.report.figures import slopes
from sidecar.report.run_lists import RunLists

# Hits of a list that are shown, and characters of a text.
SHOWN = 10
CHARACTERS = 180


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that a report may show: `queries` by query id, `passages` by docid, shortened to `CHARACTERS`.

    `corpora` are files to look passages up in. Texts that no file has are not shown.
    """

    queries: Mapping[str, str]
    corpora: Sequence[Path]
    passages: dict[str, str] = field(default_factory=dict)

    def look_up(self, docids: set[str], runs: Iterable[RunLists], fields: PassageFields) -> None:
        """Find the texts of documents: in the runs that are candidate lists, then in the corpora."""
        for run in runs:
            if run.scored and docids - self.passages.keys():
                for found in read_candidates(run.path, fields):
                    for candidate in found.candidates:
                        if candidate.docid in docids and not candidate.passage.is_empty:
                            self._add(candidate.docid, candidate.passage.title, candidate.passage.text)
        for corpus in self.corpora:
            lacking = docids - self.passages.keys()
            if lacking:
                for document in read_corpus(corpus):
                    if document.docid in lacking:
                        self._add(document.docid, document.title, document.text)

    def _add(self, docid: str, title: str, content: str) -> None:
        if docid not in self.passages:
            whole = " ".join(f"{title} {content}".split())
            self.passages[docid] = whole if len(whole) <= CHARACTERS else whole[: CHARACTERS - 1].rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Place:
    """A hit in one of the two lists: its rank there, its docid and grade, and where the other list has it, in words."""

    rank: int
    docid: str
    grade: int | None
    other: str
    direction: str


@dataclass(frozen=True, slots=True)
class Example:
    """A query under two runs: `before` and `after` are their first hits, `drawing` has the moves between them.

    `figures` says in words how the two differ.
    """

    qid: str
    figures: str
    before: Sequence[Place]
    after: Sequence[Place]
    drawing: Markup


def read_texts(runs: Sequence[RunLists], topics: Path | None, corpora: Sequence[Path]) -> Texts:
    """Collect the texts of the queries: those of the topics, then those of the candidate lists.

    Raises `InputError` for topics that have none of the runs' queries.
    """
    queries: dict[str, str] = {}
    for run in runs:
        queries |= run.queries
    if topics is not None:
        named = dict(read_topics(topics))
        if not any(qid in run.scores for run in runs for qid in named):
            raise InputError(
                f"{topics} has none of the queries of the runs.", remedy="Are these the topics of the same collection?"
            )
        queries |= named
    return Texts(queries, corpora)


def example(qid: str, figures: str, pair: tuple[RunLists, RunLists], grades: Mapping[str, int] | None) -> Example:
    """Put the two lists of a query side by side; `grades` are the query's judgements, None without any."""
    before, after = (run.order.get(qid, []) for run in pair)
    found = moves(before, after, SHOWN)
    lines = sorted(((move.before, move.after) for move in found), key=lambda ends: (ends[1] or 10**9, ends[0] or 10**9))
    lists = []
    for order, other, side in ((before, after, "before"), (after, before, "after")):
        ranks = {docid: rank for rank, docid in enumerate(other, start=1)}
        lists.append(
            [
                Place(
                    rank,
                    docid,
                    None if grades is None else grades.get(docid),
                    *_moved(rank, ranks.get(docid), forward=side == "before"),
                )
                for rank, docid in enumerate(order[:SHOWN], start=1)
            ]
        )
    return Example(qid, figures, lists[0], lists[1], slopes(lines, SHOWN))


def docids_of(examples: Iterable[Example]) -> set[str]:
    """Return the documents that examples show."""
    return {place.docid for one in examples for place in (*one.before, *one.after)}


def _moved(rank: int, other: int | None, *, forward: bool) -> tuple[str, str]:
    """Say where the other list has a hit, and in which direction it moved from the first list to the second."""
    if other is None:
        return ("leaves the list", "down") if forward else ("new in the list", "up")
    before, after = (rank, other) if forward else (other, rank)
    if before == after:
        return "stays", "same"
    arrow, direction = ("↑", "up") if after < before else ("↓", "down")
    return (f"{arrow} to {other}", direction) if forward else (f"{arrow} from {other}", direction)
