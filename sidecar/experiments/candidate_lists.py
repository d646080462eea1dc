"""A query with its first-stage hits: the common form of candidate files and first stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.documents import PassageFields, passage_of, passage_of_record
from sidecar.core.errors import InputError
from sidecar.experiments.grades import whole_grade


@dataclass(frozen=True, slots=True)
class CandidateList:
    """A query, its candidates best first, each one's document as JSON bytes, and its `label`.

    A label is a grade of relevance; None if a candidate has none. Only files have labels and a `source`, which is
    `file:line`. `ordered` is False if the file does not give their order.
    """

    qid: str
    query: str
    candidates: list[Candidate]
    docs: list[bytes]
    labels: list[int | None] = field(default_factory=list)
    source: str = ""
    ordered: bool = True


def read_label(label: object, docid: str, where: str) -> int | None:
    """Return a label as a grade, None if there is none. Raises `InputError` for a label that is not a whole number."""
    grade = whole_grade(label)
    if grade is None and label is not None:
        raise InputError(
            f"{where}: document {docid!r} has the label {label!r}.", remedy="Labels are whole numbers such as 0, 1, 2."
        )
    return grade


def passage_in(doc: bytes, fields: PassageFields) -> Passage:
    """Read a document: an object, or a string as Lucene stores it in `raw` (which may itself be JSON), or null."""
    found = msgspec.json.decode(doc, type=dict[str, Any] | str | None)
    return passage_of_record(found, fields) if isinstance(found, dict) else passage_of(found, None, fields)
