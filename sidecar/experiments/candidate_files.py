"""Candidate files, JSON lines of a query and its first-stage hits, in the two shapes that are about.

* castorini's: `{"query": {"text", "qid"}, "candidates": [{"docid", "score", "doc": {…}}]}`
* flat: `{"query_id", "query", "candidates": [{"docid", "score", "title", "text"}]}`

A candidate's `doc` is kept as the bytes it came in, so that what is written is what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sidecar.candidates import Candidate, Passage
from sidecar.errors import InputError
from sidecar.lines import numbered_lines


@dataclass(frozen=True, slots=True)
class CandidateList:
    """One line: a query, its candidates best first, and each one's document as JSON bytes."""

    qid: str
    query: str
    candidates: list[Candidate]
    docs: list[bytes]


class _Query(msgspec.Struct):
    text: str
    qid: str | int


class _Hit(msgspec.Struct):
    docid: str | int
    score: float | None = None
    doc: msgspec.Raw = msgspec.Raw()  # an empty one means the field is absent: msgspec knows no `Raw | None`
    title: str | None = None
    text: str | None = None
    contents: str | None = None


class _Line(msgspec.Struct):
    candidates: list[_Hit]
    query: _Query | str
    query_id: str | int | None = None
    qid: str | int | None = None


_DECODER = msgspec.json.Decoder(_Line)


def read_candidates(path: Path, *, title_fields: Sequence[str], text_fields: Sequence[str]) -> Iterator[CandidateList]:
    """Every query of a candidate file (`.jsonl` or `.jsonl.gz`), streaming.

    Candidates come in file order, which is the first stage's. Scores that are missing count down from the top in its
    stead. Raises `InputError` with file and line for a malformed line, a query listed twice, or a docid listed twice
    within a query.
    """
    seen: set[str] = set()
    for where, line in numbered_lines(path):
        try:
            found = _to_list(_DECODER.decode(line), where, title_fields, text_fields)
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


def _to_list(line: _Line, where: str, title_fields: Sequence[str], text_fields: Sequence[str]) -> CandidateList:
    query, qid = (line.query.text, line.query.qid) if isinstance(line.query, _Query) else (line.query, _flat_qid(line))
    if qid is None:
        raise InputError(f"{where}: the query has no id.", remedy="Give `query_id` beside `query`.")
    candidates, docs, seen = [], [], set()
    for rank, hit in enumerate(line.candidates, start=1):
        docid = str(hit.docid)
        if docid in seen:
            raise InputError(f"{where}: document {docid!r} is listed twice for query {qid!r}.")
        seen.add(docid)
        doc = _document(hit, where)
        passage = (
            Passage(_first(doc, title_fields), _first(doc, text_fields)) if isinstance(doc, dict) else Passage("", doc)
        )
        score = float(len(line.candidates) - rank + 1) if hit.score is None else hit.score
        candidates.append(Candidate(docid, rank, score, passage))
        docs.append(bytes(hit.doc) or msgspec.json.encode(doc))
    return CandidateList(str(qid), query, candidates, docs)


def _flat_qid(line: _Line) -> str | int | None:
    return line.query_id if line.query_id is not None else line.qid


def _document(hit: _Hit, where: str) -> dict[str, Any] | str:
    """The document as an object or a string; a string may itself be the JSON that Lucene stores as `raw`."""
    if not bytes(hit.doc):
        flat = {"title": hit.title, "text": hit.text, "contents": hit.contents}
        return {name: value for name, value in flat.items() if value is not None}
    try:
        doc = msgspec.json.decode(hit.doc, type=dict[str, Any] | str | None)
    except msgspec.ValidationError:
        raise InputError(f"{where}: the doc of {hit.docid!r} is neither an object nor a string.") from None
    if isinstance(doc, str) and doc.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(doc, type=dict[str, Any])
        except msgspec.DecodeError:
            return doc  # a passage that happens to begin with a brace
    return {} if doc is None else doc


def _first(doc: dict[str, Any], names: Sequence[str]) -> str:
    return next((value for name in names if isinstance(value := doc.get(name), str) and value.strip()), "")
