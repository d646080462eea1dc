"""Candidate files: a query and its first-stage hits in one object, in either of the two common shapes.

* castorini's and rank_llm's: `{"query": {"text", "qid"}, "candidates": [{"docid", "score", "doc": {…}}]}`
* flat: `{"query_id", "query", "candidates": [{"docid", "score", "title", "text"}]}`

There is one object a line, or one array of objects. Files of one pair a line are in `pair_files`. A candidate's `doc`
is kept as bytes, so that it is written exactly as it was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from sidecar.core.candidates import Candidate
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.json_lines import parse, records
from sidecar.experiments.candidate_lists import CandidateList, passage_in, read_label
from sidecar.experiments.pair_files import has_pairs, read_pairs

EXPECTED_LIST = (
    'Expected {"query": {"text", "qid"}, "candidates": [{"docid", "score", "doc"}]}, '
    'or {"query_id", "query", "candidates": [{"docid", "score", "title", "text"}]}.'
)


class _Query(msgspec.Struct):
    text: str
    qid: str | int


class _Hit(msgspec.Struct):
    docid: str | int
    score: float | None = None
    label: object = None
    doc: msgspec.Raw = msgspec.Raw()  # empty if the field is absent: msgspec does not support `Raw | None`


class _Line(msgspec.Struct):
    candidates: list[msgspec.Raw]
    query: _Query | str
    query_id: str | int | None = None
    qid: str | int | None = None


_DECODER = msgspec.json.Decoder(_Line)


def read_candidates(path: Path, fields: PassageFields) -> Iterator[CandidateList]:
    """Yield every query of a candidate file, streamed; a file of one pair a line is recognised by its first line.

    Candidates are in file order, which is the first stage's. A missing score is replaced by one that counts down from
    the top. Raises `InputError` with file and line for a malformed line, an empty query, a query listed twice, or a
    docid listed twice within a query; and if there is no query at all.
    """
    lines = records(path)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path} holds no query.", remedy=EXPECTED_LIST)
    read = read_pairs if has_pairs(first[1]) else _read_lists
    yield from read(chain([first], lines), fields)


def _read_lists(lines: Iterator[tuple[str, bytes]], fields: PassageFields) -> Iterator[CandidateList]:
    seen: set[str] = set()
    for where, line in lines:
        decoded = parse(line, where, _DECODER, what="no candidate list", remedy=EXPECTED_LIST)
        try:
            found = _to_list(decoded, where, fields)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{where}: no candidate list: {error}.", remedy=EXPECTED_LIST) from None
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
        labels.append(read_label(hit.label, docid, where))
    return CandidateList(str(qid), query, candidates, docs, labels, where)


def _flat_qid(line: _Line) -> str | int | None:
    return line.query_id if line.query_id is not None else line.qid


def _flat_document(hit: msgspec.Raw) -> bytes:
    """Return the document fields of a flat candidate: all except id, score and rank."""
    values = msgspec.json.decode(hit, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(
        {name: value for name, value in values.items() if name not in {"docid", "score", "rank"}}
    )
