"""Files of one query–document pair a line, collected by query.

* MS MARCO's `top1000.dev`: `qid<TAB>pid<TAB>query<TAB>passage`, not in first-stage order
* JSON, as in TIRA's re-ranking files: `{"qid", "query", "docno", "text", "rank", "score"}`

The pairs of a query need not be consecutive: they are collected in a temporary database on disk, so memory stays
bounded.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from sidecar.core.candidates import Candidate
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.json_lines import is_object, parse_object
from sidecar.core.temporary_database import on_disk, temporary_database
from sidecar.experiments.candidate_lists import CandidateList, passage_in, read_label

QID_FIELDS = ("qid", "query_id")
DOCID_FIELDS = ("docno", "docid", "doc_id", "pid")
_ABOUT_THE_QUERY = {*QID_FIELDS, *DOCID_FIELDS, "query", "original_query", "rank", "score", "system", "label"}

_EXPECTED = (
    'Expected qid<TAB>pid<TAB>query<TAB>passage lines, or {"qid", "query", "docno", "text", "rank", "score"} objects.'
)

_TABLES = """
CREATE TABLE query (n INTEGER PRIMARY KEY, qid TEXT UNIQUE NOT NULL, text TEXT NOT NULL, place TEXT NOT NULL);
CREATE TABLE pair (query INTEGER, docid TEXT, position INTEGER, rank REAL, score REAL, label INTEGER, doc BLOB,
    PRIMARY KEY (query, docid)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class _Pair:
    qid: str
    query: str
    docid: str
    doc: bytes
    rank: float | None = None
    score: float | None = None
    label: int | None = None


def has_pairs(line: bytes) -> bool:
    """True if a first line has the shape of a pair."""
    if not is_object(line):
        columns = line.split(b"\t")
        # Four columns that end in a number are judgements or a run, not a passage.
        return len(columns) == 4 and not columns[3].strip().replace(b".", b"").isdigit()
    try:
        keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).keys()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return "candidates" not in keys and not keys.isdisjoint(DOCID_FIELDS) and "query" in keys


def read_pairs(lines: Iterator[tuple[str, bytes]], fields: PassageFields) -> Iterator[CandidateList]:
    """Yield the pairs of each query as one list, queries in the order of their first pairs.

    Candidates are ordered by `rank`, else by falling `score`, if every pair of the query has one; else they have no
    order. Raises `InputError` with file and line for a malformed line, two texts of one query, or a pair listed twice.
    """
    database = temporary_database(_TABLES)
    with on_disk("the pairs"):
        for position, (where, line) in enumerate(lines):
            pair = _from_json(line, where) if is_object(line) else _from_columns(line, where)
            _keep(database, pair, position, where)
    for number, qid, text, place in database.execute("SELECT n, qid, text, place FROM query ORDER BY n"):
        yield _gather(database, number, CandidateList(qid, text, [], [], [], place), fields)


def _keep(database: sqlite3.Connection, pair: _Pair, position: int, where: str) -> None:
    row = database.execute("SELECT n, text FROM query WHERE qid = ?", (pair.qid,)).fetchone()
    if row is None:
        statement = "INSERT INTO query (qid, text, place) VALUES (?, ?, ?)"
        number = database.execute(statement, (pair.qid, pair.query, where)).lastrowid
    else:
        number, text = row
        if text != pair.query:
            raise InputError(f"{where}: the query {pair.qid!r} had another text above.")
    values = (number, pair.docid, position, pair.rank, pair.score, pair.label, pair.doc)
    if not database.execute("INSERT OR IGNORE INTO pair VALUES (?, ?, ?, ?, ?, ?, ?)", values).rowcount:
        raise InputError(f"{where}: document {pair.docid!r} is listed twice for query {pair.qid!r}.")


def _gather(database: sqlite3.Connection, number: int, empty: CandidateList, fields: PassageFields) -> CandidateList:
    select = "SELECT docid, rank, score, label, doc FROM pair WHERE query = ? ORDER BY position"
    pairs = database.execute(select, (number,)).fetchall()
    ranked, scored = (all(pair[at] is not None for pair in pairs) for at in (1, 2))
    if ranked:
        pairs.sort(key=lambda pair: pair[1])
    elif scored:
        pairs.sort(key=lambda pair: -pair[2])
    candidates = [
        Candidate(docid, at, score if scored else float(len(pairs) - at + 1), passage_in(doc, fields))
        for at, (docid, _, score, _, doc) in enumerate(pairs, start=1)
    ]
    labels, docs = [pair[3] for pair in pairs], [pair[4] for pair in pairs]
    return CandidateList(empty.qid, empty.query, candidates, docs, labels, empty.source, ordered=ranked or scored)


def _from_columns(line: bytes, where: str) -> _Pair:
    columns = line.decode().split("\t")
    if len(columns) != 4:
        raise InputError(f"{where}: {len(columns)} columns.", remedy=_EXPECTED)
    qid, docid, query, passage = columns
    return _checked(_Pair(qid.strip(), query, docid.strip(), msgspec.json.encode({"text": passage})), where)


def _from_json(line: bytes, where: str) -> _Pair:
    record = parse_object(line, where)
    qid, docid = _first(record, QID_FIELDS, where), _first(record, DOCID_FIELDS, where)
    query = record.get("query")
    if not isinstance(query, str):
        raise InputError(f"{where}: no query.", remedy=_EXPECTED)
    document = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    doc = msgspec.json.encode({name: value for name, value in document.items() if name not in _ABOUT_THE_QUERY})
    rank, score = (_number(record.get(name), name, where) for name in ("rank", "score"))
    return _checked(_Pair(qid, query, docid, doc, rank, score, read_label(record.get("label"), docid, where)), where)


def _checked(pair: _Pair, where: str) -> _Pair:
    if not pair.query.strip():
        raise InputError(f"{where}: the query {pair.qid!r} is empty.")
    if not pair.qid or not pair.docid:
        raise InputError(f"{where}: a pair without a {'document' if pair.qid else 'query'} id.", remedy=_EXPECTED)
    return pair


def _first(record: dict[str, Any], names: tuple[str, ...], where: str) -> str:
    found = next((record[name] for name in names if isinstance(record.get(name), str | int)), None)
    if found is None:
        raise InputError(f"{where}: none of {', '.join(names)}.", remedy=_EXPECTED)
    return str(found)


def _number(value: object, name: str, where: str) -> float | None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise InputError(f"{where}: the {name} {value!r} is not a number.", remedy=_EXPECTED)
    return value
