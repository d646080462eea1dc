"""Candidate files, JSON lines of a query and its first-stage hits, in the two shapes that are about.

* castorini's: `{"query": {"text", "qid"}, "candidates": [{"docid", "score", "doc": {…}}]}`
* flat: `{"query_id", "query", "candidates": [{"docid", "score", "title", "text"}]}`

A candidate's `doc` is kept as the bytes it came in, so that what is written is what was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sidecar.candidates import Candidate, Passage
from sidecar.documents import PassageFields, passage_of, passage_of_record
from sidecar.errors import InputError
from sidecar.lines import numbered_lines


@dataclass(frozen=True, slots=True)
class CandidateList:
    """One line: a query, its candidates best first, each one's document as JSON bytes, and its `label`.

    A label is a grade of relevance; None where a candidate has none that is a whole number. Only files have any, and
    only they have a `source`, as `file:line`.
    """

    qid: str
    query: str
    candidates: list[Candidate]
    docs: list[bytes]
    labels: list[int | None] = field(default_factory=list)
    source: str = ""


class _Query(msgspec.Struct):
    text: str
    qid: str | int


class _Hit(msgspec.Struct):
    docid: str | int
    score: float | None = None
    label: object = None
    doc: msgspec.Raw = msgspec.Raw()  # an empty one means the field is absent: msgspec knows no `Raw | None`


class _Line(msgspec.Struct):
    candidates: list[msgspec.Raw]
    query: _Query | str
    query_id: str | int | None = None
    qid: str | int | None = None


_DECODER = msgspec.json.Decoder(_Line)


def read_candidates(path: Path, fields: PassageFields) -> Iterator[CandidateList]:
    """Every query of a candidate file (`.jsonl` or `.jsonl.gz`), streaming.

    Candidates come in file order, which is the first stage's. Scores that are missing count down from the top in its
    stead. Raises `InputError` with file and line for a malformed line, an empty query, a query listed twice, or a docid
    listed twice within a query.
    """
    seen: set[str] = set()
    for where, line in numbered_lines(path):
        try:
            found = _to_list(_DECODER.decode(line), where, fields)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{where}: no candidate list: {error}.",
                remedy='Expected {"query": {"text", "qid"}, "candidates": [{"docid", "score", "doc"}]}, '
                'or {"query_id", "query", "candidates": [{"docid", "score", "title", "text"}]}.',
            ) from None
        if found.qid in seen:
            raise InputError(f"{where}: query {found.qid!r} was already listed above.")
        seen.add(found.qid)
        yield found


def _to_list(line: _Line, where: str, fields: PassageFields) -> CandidateList:
    query, qid = (line.query.text, line.query.qid) if isinstance(line.query, _Query) else (line.query, _flat_qid(line))
    if qid is None:
        raise InputError(f"{where}: the query has no id.", remedy="Give `query_id` beside `query`.")
    if not query.strip():
        raise InputError(f"{where}: the query {qid!r} is empty.")
    candidates, docs, labels, seen = [], [], [], set()
    for rank, raw in enumerate(line.candidates, start=1):
        hit = msgspec.json.decode(raw, type=_Hit)
        docid = str(hit.docid)
        if docid in seen:
            raise InputError(f"{where}: document {docid!r} is listed twice for query {qid!r}.")
        seen.add(docid)
        doc = bytes(hit.doc) or _flat_document(raw)
        score = float(len(line.candidates) - rank + 1) if hit.score is None else hit.score
        candidates.append(Candidate(docid, rank, score, passage_in(doc, fields)))
        docs.append(doc)
        labels.append(int(hit.label) if isinstance(hit.label, int) else None)
    return CandidateList(str(qid), query, candidates, docs, labels, where)


def _flat_qid(line: _Line) -> str | int | None:
    return line.query_id if line.query_id is not None else line.qid


def _flat_document(hit: msgspec.Raw) -> bytes:
    """What a flat candidate says of its document, beside id, score and rank."""
    values = msgspec.json.decode(hit, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(
        {name: value for name, value in values.items() if name not in {"docid", "score", "rank"}}
    )


def passage_in(doc: bytes, fields: PassageFields) -> Passage:
    """Read a document, an object, or a string as Lucene stores it in `raw` (which may itself be JSON), or null."""
    found = msgspec.json.decode(doc, type=dict[str, Any] | str | None)
    return passage_of_record(found, fields) if isinstance(found, dict) else passage_of(found, None, fields)
