"""Teacher scores: written once by any scorer, a line for each group, and read by every later training.

A file's lines are `{"query", "teacher", "scores": {docid: score}}`. Teacher and student may differ in tokenizer and
prompt: they share only the texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import InputError
from sidecar.core.json_lines import parse, records
from sidecar.experiments.journal import Journal
from sidecar.training.groups import Group

SHOWN = 3


class Teacher(Protocol):
    """Scores many queries."""

    def __call__(
        self, asked: Iterable[tuple[Group, tuple[str, Sequence[Passage]]]]
    ) -> Iterable[tuple[Group, Sequence[Score]]]:
        """Yield one score for each passage of each query, with the key that came with it, in the order given."""
        ...


class _Line(msgspec.Struct):
    query: str
    scores: dict[str, float]
    teacher: str = ""


_DECODER = msgspec.json.Decoder(_Line)
_EXPECTED = 'Expected {"query": …, "scores": {docid: score}}, as `sidecar teach` writes it.'

# Query → docid → score.
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Weighted:
    """One teacher's scores with its share in the mixture."""

    scores: Scores
    weight: float
    source: str


def teach(
    groups: Iterable[Group], teacher: Teacher, name: str, journal: Journal, finished: Callable[[int], None]
) -> None:
    """Score every group that the journal lacks; `finished` is called with the number of passages of each."""
    asked = ((group, (group.query, group.passages)) for group in groups if group.key not in journal.done)
    for group, found in teacher(asked):
        if group.key in journal.done:
            continue  # the file has it twice
        scores = {docid: score.value for docid, score in zip(group.docids, found, strict=True)}
        journal.add(group.key, msgspec.json.encode(_Line(group.query, scores, name)))
        finished(len(found))


def publish_scores(journal: Journal, output: Path) -> None:
    """Write every line of the journal; the file appears complete, and then the journal is removed."""
    with atomic_write(output) as stream:
        stream.writelines(line.decode() + "\n" for line in journal.lines())
    journal.remove()


def read_scores(path: Path) -> dict[str, dict[str, float]]:
    """Return query → docid → score. Raises InputError with file and line for a malformed line or a non-finite score."""
    found: dict[str, dict[str, float]] = {}
    for where, line in records(path):
        one = parse(line, where, _DECODER, what="no teacher's scores", remedy=_EXPECTED)
        if not all(math.isfinite(score) for score in one.scores.values()):
            raise InputError(f"{where}: a score is not finite.")
        found.setdefault(one.query, {}).update(one.scores)
    return found


def mixed(groups: Sequence[Group], teachers: Sequence[Weighted], *, standardize: bool) -> list[list[float]]:
    """Return the teachers' scores of each group, in the order of its passages.

    A single teacher's are raw unless `standardize` is set; several are brought to mean 0 and deviation 1 within each
    group (equal scores to 0) before their weighted mean is taken. Raises InputError if a score is missing, and what
    `check_texts` raises.
    """
    check_texts(groups)
    _refuse_missing(groups, teachers)
    alone = len(teachers) == 1 and not standardize
    total = math.fsum(teacher.weight for teacher in teachers)
    rows = []
    for group in groups:
        columns = [[teacher.scores[group.query][docid] for docid in group.docids] for teacher in teachers]
        if alone:
            rows.append(columns[0])
            continue
        weighted = zip([teacher.weight for teacher in teachers], map(standardized, columns), strict=True)
        parts = [[weight / total * value for value in column] for weight, column in weighted]
        rows.append([math.fsum(values) for values in zip(*parts, strict=True)])
    return rows


def check_texts(groups: Iterable[Group]) -> None:
    """Raise InputError if a query has two passages of one id: a teacher's scores are kept by query and document."""
    known: dict[tuple[str, str], tuple[Passage, str]] = {}
    for group in groups:
        for docid, passage in zip(group.docids, group.passages, strict=True):
            first, source = known.setdefault((group.query, docid), (passage, group.source))
            if passage != first:
                raise InputError(
                    f"{group.source}: query {group.qid!r} lists document {docid!r} with another text than {source}; a "
                    "teacher's scores are kept by query and document.",
                    remedy="Give one of the two documents another id.",
                )


def standardized(values: Sequence[float]) -> list[float]:
    """Bring values to mean 0 and (population) deviation 1; equal ones to 0."""
    middle = math.fsum(values) / len(values)
    width = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / len(values))
    return [(value - middle) / width if width > 0 else 0.0 for value in values]


def without_false_negatives(group: Group, scores: Sequence[float], margin: float) -> tuple[Group, list[float], int]:
    """Leave out passages of label 0 whose score is above the best positive's minus `margin` deviations of the group.

    Returns the group, its scores, and how many were left out. Source: "TopK-MarginPos" of NV-Retriever
    (arXiv 2407.15831).
    """
    scaled = standardized(scores)
    limit = max((scaled[index] for index in group.positives), default=math.inf) - margin
    kept = [index for index, label in enumerate(group.labels) if label or scaled[index] <= limit]
    return group.keep(kept), [scores[index] for index in kept], len(group.labels) - len(kept)


def _refuse_missing(groups: Sequence[Group], teachers: Sequence[Weighted]) -> None:
    for teacher in teachers:
        missing = list(_missing(groups, teacher.scores))
        if missing:
            first = "; ".join(
                f"query {group.qid!r} ({group.source}), document {docid!r}" for group, docid in missing[:SHOWN]
            )
            raise InputError(
                f"{teacher.source} lacks the scores of {len(missing)} passages: {first}"
                f"{' …' if missing[SHOWN:] else '.'}",
                remedy="Let `sidecar teach` score these files, whole, with the same fields.",
            )


def _missing(groups: Sequence[Group], scores: Scores) -> Iterator[tuple[Group, str]]:
    for group in groups:
        known = scores.get(group.query, {})
        yield from ((group, docid) for docid in group.docids if docid not in known)
