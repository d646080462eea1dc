"""Training files, JSON lines in the shapes that are about, each fault named with file and line.

* Tevatron's: `{"query_id", "query", "positive_passages": [{"docid", "title", "text"}], "negative_passages": […]}`
* candidate lists (`sidecar.experiments.candidate_files`), each candidate with a whole number as `label`

Source of the first: the data sets Tevatron/msmarco-passage and their like on the hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from sidecar.candidates import Passage
from sidecar.documents import PassageFields, passage_of_record
from sidecar.errors import InputError
from sidecar.experiments.candidate_files import CandidateList, read_candidates
from sidecar.lines import numbered_lines
from sidecar.training.groups import HIGHEST_LABEL, Group

LEAST = 2

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(slots=True)
class Refusals:
    """What becomes of groups that can't be trained on: an error, or with `drop` a count for each reason."""

    drop: bool
    counts: dict[str, int]

    def __call__(self, group: Group, reason: str) -> None:
        """Refuse a group. Raises InputError unless groups are dropped."""
        if not self.drop:
            raise InputError(
                f"{group.source}: query {group.qid!r} {reason}.",
                remedy="Correct the file, or leave such queries out by --drop-unusable.",
            )
        self.counts[reason] = self.counts.get(reason, 0) + 1


class _TevatronLine(msgspec.Struct):
    query: str
    positive_passages: list[dict[str, object]]
    negative_passages: list[dict[str, object]]
    query_id: str | int | None = None


_TEVATRON = msgspec.json.Decoder(_TevatronLine)


def read_training(
    path: Path, fields: PassageFields, refuse: Refusals, *, qrels: Qrels | None = None, labelled: bool = True
) -> Iterator[Group]:
    """Every group of a training file (`.jsonl` or `.jsonl.gz`) that can be trained on, in its order.

    Passages without text or without a label are left out; so `qrels` judge candidates that have no label of their own,
    a document that they don't know being irrelevant. Without `labelled` unjudged passages stay, for teachers to judge.
    Raises InputError with file and line for a malformed line, a label out of range, and (see `Refusals`) for a query
    with fewer than two passages or, with `labelled`, with labels that are all the same.
    """
    read = _tevatron if is_tevatron(path) else _lists
    for found in read(path, fields):
        group = _judge(found, qrels) if qrels is not None else found
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


def is_tevatron(path: Path) -> bool:
    """Whether the first line has Tevatron's shape."""
    return any(b'"positive_passages"' in line for _, line in islice(numbered_lines(path), 1))


def _lists(path: Path, fields: PassageFields) -> Iterator[Group]:
    return (_of_list(found) for found in read_candidates(path, fields))


def _of_list(found: CandidateList) -> Group:
    return Group(
        found.qid,
        found.query,
        [candidate.docid for candidate in found.candidates],
        [candidate.passage for candidate in found.candidates],
        found.labels,
        found.source,
    )


def _tevatron(path: Path, fields: PassageFields) -> Iterator[Group]:
    for where, line in numbered_lines(path):
        try:
            found = _TEVATRON.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{where}: no training query: {error}.",
                remedy='Expected {"query_id", "query", "positive_passages": [{"docid", "title", "text"}], '
                '"negative_passages": […]}.',
            ) from None
        if not found.query.strip():
            raise InputError(f"{where}: the query is empty.")
        records = [*found.positive_passages, *found.negative_passages]
        positives = len(found.positive_passages)
        docids = [_docid(record, where) for record in records]
        twice = next((docid for index, docid in enumerate(docids) if docid in docids[:index]), None)
        if twice is not None:
            raise InputError(f"{where}: document {twice!r} is listed twice.")
        labels = [int(index < positives) for index in range(len(records))]
        qid = where if found.query_id is None else str(found.query_id)
        yield Group(qid, found.query, docids, [_passage(record, fields) for record in records], labels, where)


def _passage(record: Mapping[str, object], fields: PassageFields) -> Passage:
    return passage_of_record(record, fields)


def _docid(record: Mapping[str, object], where: str) -> str:
    docid = record.get("docid")
    if not isinstance(docid, str | int) or docid == "":
        raise InputError(f"{where}: a passage has no `docid`.")
    return str(docid)


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
