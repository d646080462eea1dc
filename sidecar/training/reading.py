"""Read training files: candidate lists with labels, and the shapes of `shapes`; errors name file and line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.json_lines import records
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.training.groups import HIGHEST_LABEL, Group
from sidecar.training.shapes import EXPECTED, UNUSED, training_shape

LEAST = 2

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(slots=True)
class Refusals:
    """Refuses groups that can't be trained on: by an error, or with `drop` by a count for each reason.

    `drop_contradictions` does the same for negatives that are also positives of their query. `unused` are the keys of
    the lines that another library's trainer would use.
    """

    drop: bool
    counts: dict[str, int]
    drop_contradictions: bool = False
    unused: set[str] = field(default_factory=set)

    def __call__(self, group: Group, reason: str) -> None:
        """Refuse a group. Raises InputError unless groups are dropped."""
        if not self.drop:
            raise InputError(
                f"{group.source}: query {group.qid!r} {reason}.",
                remedy="Correct the file, or leave such queries out by --drop-unusable.",
            )
        self.count(f"left out, each a query that {reason}")

    def contradiction(self, group: Group, docid: str) -> None:
        """Refuse a passage with two labels. Raises InputError unless its lower label is dropped."""
        if not self.drop_contradictions:
            raise InputError(
                f"{group.source}: query {group.qid!r} lists document {docid!r} with two labels, as a positive among "
                "its negatives.",
                remedy="Correct the file, or let the higher label count by --drop-contradictions.",
            )
        self.count("negatives left out that are positives of the same query")

    def count(self, what: str) -> None:
        """Add one to a count."""
        self.counts[what] = self.counts.get(what, 0) + 1


def read_training(
    path: Path, fields: PassageFields, refuse: Refusals, *, qrels: Qrels | None = None, labelled: bool = True
) -> Iterator[Group]:
    """Yield every group of a training file that can be trained on, in its order.

    Passages without text or without a label are left out. `qrels` judge candidates that have no label of their own; a
    document that they do not contain is irrelevant. Without `labelled` unjudged passages stay, for teachers to judge.
    Raises InputError with file and line for a malformed line, a label out of range, and (see `Refusals`) for a query
    with fewer than two passages or, with `labelled`, with labels that are all the same; and for one that lists a
    passage with two labels. A passage that is listed twice with one label is kept once.
    """
    for found in _groups(path, fields, refuse):
        group = _once(_judge(found, qrels) if qrels is not None else found, refuse)
        _check_labels(group)
        usable = [
            index
            for index, (passage, label) in enumerate(zip(group.passages, group.labels, strict=True))
            if not passage.is_empty and not (labelled and label is None)
        ]
        kept = group.keep(usable)
        if len(kept.passages) < LEAST:
            what = {0: "no passage", 1: "one passage"}[len(kept.passages)]
            refuse(group, f"has {what} with text{' and a label' if labelled else ''}, and needs two")
        elif labelled and not kept.has_contrast:
            refuse(group, "has one label on all its passages, which prefers none")
        else:
            yield kept


def _groups(path: Path, fields: PassageFields, refuse: Refusals) -> Iterator[Group]:
    lines = records(path)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path} holds no query.", remedy=EXPECTED)
    read = training_shape(first[1])
    if read is None:
        return map(_of_list, read_candidates(path, fields))
    return read(_watched(chain([first], lines), refuse), fields)


def _watched(lines: Iterator[tuple[str, bytes]], refuse: Refusals) -> Iterator[tuple[str, bytes]]:
    for place, line in lines:
        refuse.unused.update(name for name in UNUSED if f'"{name}":'.encode() in line)
        yield place, line


def _of_list(found: CandidateList) -> Group:
    return Group(
        found.qid,
        found.query,
        [candidate.docid for candidate in found.candidates],
        [candidate.passage for candidate in found.candidates],
        found.labels,
        found.source,
    )


def _once(group: Group, refuse: Refusals) -> Group:
    """Return the group with each document once, with the higher of its labels if that is allowed."""
    if len(set(group.docids)) == len(group.docids):
        return group
    places: dict[str, int] = {}
    for index, (docid, label) in enumerate(zip(group.docids, group.labels, strict=True)):
        before = places.setdefault(docid, index)
        if before == index:
            continue
        if label == group.labels[before]:
            refuse.count("passages left out that are listed twice for their query")
            continue
        refuse.contradiction(group, docid)
        if (label or 0) > (group.labels[before] or 0):
            places[docid] = index
    return group.keep(sorted(places.values()))


def _judge(group: Group, qrels: Qrels) -> Group:
    judged = qrels.get(group.qid, {})
    return Group(
        group.qid,
        group.query,
        group.docids,
        group.passages,
        [judged.get(docid, 0) for docid in group.docids],
        group.source,
    )


def _check_labels(group: Group) -> None:
    for docid, label in zip(group.docids, group.labels, strict=True):
        if label is not None and not 0 <= label <= HIGHEST_LABEL:
            raise InputError(
                f"{group.source}: document {docid!r} of query {group.qid!r} has the label {label}.",
                remedy=f"Labels are whole numbers from 0 (irrelevant) to {HIGHEST_LABEL}.",
            )
