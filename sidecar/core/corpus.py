"""Read a corpus: JSON objects or tab-separated lines, streamed; every error names its file and line.

This module knows no engine; every kind of index is built from what `read_corpus` yields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from sidecar.core.collection_folders import corpus_files
from sidecar.core.errors import InputError
from sidecar.core.json_lines import is_object, parse_object, records
from sidecar.core.text_lines import fits_column, names_columns

DOCID_FIELDS = ("_id", "id", "docid", "pid")
TEXT_FIELDS = ("text", "contents", "passage")
# A first line `docid<TAB>text` with any of these names is a header.
_DOCID_NAMES = {*DOCID_FIELDS, "doc_id", "docno"}
_TEXT_NAMES = {*TEXT_FIELDS, "body", "content"}


@dataclass(frozen=True, slots=True)
class Document:
    """One document to index. `source` is where it was read, as `file:line`; it is empty for one made in memory."""

    docid: str
    title: str
    text: str
    source: str = ""

    @property
    def is_empty(self) -> bool:
        """True if there is no text to index: neither title nor text holds more than white space."""
        return not (self.text.strip() or self.title.strip())


def read_corpus(path: Path) -> Iterator[Document]:
    """Yield the documents of `path` in its order and in bounded memory.

    `path` is a file of JSON objects or of `docid<TAB>text` lines (MS MARCO's `collection.tsv`), or a folder of such
    files (see `collection_folders`), compressed or not. The id of an object is the first of `DOCID_FIELDS` that it has
    (a string or an integer), the text the first of `TEXT_FIELDS`; `title` and text may be missing or null. Blank lines
    are skipped. Raises InputError.
    """
    for place, line in _lines(path):
        yield _document(line, place)


class StoredDocument(NamedTuple):
    """A document as stored: one JSON object, of which only the docid was parsed; `check` parses the rest."""

    docid: str
    line: bytes
    source: str

    def check(self) -> None:
        """Raise InputError if the object is malformed."""
        parse_object(self.line, self.source)


def read_lines(path: Path) -> Iterator[StoredDocument]:
    """Yield the documents of `path`, as `read_corpus` finds them, each as its JSON bytes.

    Only the id of an object is parsed, which is seven times as fast as `read_corpus`. Raises InputError.
    """
    for place, line in _lines(path):
        try:
            docid = _ID_DECODER.decode(line).first()
        except (msgspec.DecodeError, UnicodeDecodeError):
            docid = None
        # The slower parser reads, or refuses, every unusual line.
        yield StoredDocument(docid, line, place) if docid else _stored(_document(line, place), line)


def _stored(document: Document, line: bytes) -> StoredDocument:
    if not is_object(line):
        line = msgspec.json.encode({"_id": document.docid, "text": document.text})
    return StoredDocument(document.docid, line, document.source)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in corpus_files(path):
        lines = records(file)
        for place, line in lines:
            if is_object(line) or not names_columns(line.decode().split("\t"), _DOCID_NAMES, _TEXT_NAMES):
                yield place, line
            break
        yield from lines


class _Id(msgspec.Struct, rename={"own": "_id"}):
    own: str | int | None = None
    id: str | int | None = None
    docid: str | int | None = None
    pid: str | int | None = None

    def first(self) -> str | None:
        """Return the first id there; None if there is none, or if it may be invalid."""
        found = next((value for value in (self.own, self.id, self.docid, self.pid) if value is not None), None)
        docid = None if found is None else str(found)
        return docid if docid is not None and fits_column(docid) else None


_ID_DECODER = msgspec.json.Decoder(_Id)


def unique(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the documents; keep about 120 bytes of memory for each. Raises InputError if a docid occurs twice."""
    seen: set[str] = set()
    for document in documents:
        if document.docid in seen:
            place = f"{document.source}: " if document.source else ""
            raise InputError(
                f"{place}the docid '{document.docid}' was there before.", remedy="Give every document an id of its own."
            )
        seen.add(document.docid)
        yield document


def _document(line: bytes, place: str) -> Document:
    if not is_object(line) and b"\t" in line:
        return _of_columns(line.decode().split("\t"), place)
    record = parse_object(line, place)
    return Document(
        docid=_docid(record, place),
        title=_string(record, "title", place),
        text=next((_string(record, field, place) for field in TEXT_FIELDS if field in record), ""),
        source=place,
    )


def _of_columns(columns: list[str], place: str) -> Document:
    if len(columns) != 2:
        raise InputError(
            f"{place}: {len(columns)} columns.", remedy="A tab-separated corpus has two columns: docid and text."
        )
    return Document(_good_docid(columns[0], "the docid", place), "", columns[1], place)


def _docid(record: dict[str, object], place: str) -> str:
    field = next((field for field in DOCID_FIELDS if field in record), None)
    if field is None:
        raise InputError(f"{place}: no id.", remedy=f"The id must be in one of {', '.join(DOCID_FIELDS)}.")
    value = record[field]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{place}: '{field}' is {_kind(value)}.", remedy="An id must be a string.")
    return _good_docid(value, f"'{field}'", place)


def _good_docid(docid: str, name: str, place: str) -> str:
    # TREC and MS MARCO run files are split at white space, so a run with such an id could not be read.
    if not fits_column(docid):
        raise InputError(f"{place}: {name} is {docid!r}.", remedy="An id is one word, without white space.")
    return docid


def _string(record: dict[str, object], field: str, place: str) -> str:
    value = record.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{place}: '{field}' is {_kind(value)}.", remedy=f"'{field}' must be a string.")
    return value


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")
