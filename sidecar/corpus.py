"""Reading a corpus: one JSON object a line, streamed, every fault named with its file and line.

Knows nothing of an engine; an index of any kind is built from what `read_corpus` yields.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sidecar.errors import InputError
from sidecar.lines import numbered_lines

DOCID_FIELDS = ("_id", "id", "docid", "pid")
TEXT_FIELDS = ("text", "contents", "passage")


@dataclass(frozen=True, slots=True)
class Document:
    """One document to index. `source` says where it came from, as `file:line`, and is empty for one made in memory."""

    docid: str
    title: str
    text: str
    source: str = ""

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to find it by: neither title nor text holds more than white space."""
        return not (self.text.strip() or self.title.strip())


def read_corpus(path: Path) -> Iterator[Document]:
    """Yield the documents of `path`, a file of JSON lines, gzipped or not, in its order and in bounded memory.

    The id is the first of `DOCID_FIELDS` that is there (a string or an integer), the text the first of `TEXT_FIELDS`;
    `title` and text may be missing or null. Blank lines are passed over. Raises InputError.
    """
    for place, line in numbered_lines(path):
        yield _document(line, place)


def read_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (docid, line) of the documents of `path`, the line as it is; of the rest of it nothing is kept.

    Seven times as fast as `read_corpus`. Raises InputError.
    """
    for place, line in numbered_lines(path):
        try:
            found = _ID_DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        docid = None if found is None else found.first()
        # What is out of the common is read, or refused, by the slower way.
        yield docid or _document(line, place).docid, line


class _Id(msgspec.Struct, rename={"own": "_id"}):
    own: str | int | None = None
    id: str | int | None = None
    docid: str | int | None = None
    pid: str | int | None = None

    def first(self) -> str | None:
        """The first id there, None if there is none or it may be no good one."""
        found = next((value for value in (self.own, self.id, self.docid, self.pid) if value is not None), None)
        docid = None if found is None else str(found)
        return docid if docid is not None and not any(character.isspace() for character in docid) else None


_ID_DECODER = msgspec.json.Decoder(_Id)


def unique(documents: Iterable[Document]) -> Iterator[Document]:
    """Pass the documents on, at about 120 bytes of memory for each. Raises InputError at a docid's second document."""
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
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON: {error}.", remedy="Each line holds one JSON object.") from error
    if not isinstance(record, dict):
        raise InputError(f"{place}: not a JSON object but {_kind(record)}.", remedy="Each line holds one JSON object.")
    return Document(
        docid=_docid(record, place),
        title=_string(record, "title", place),
        text=next((_string(record, field, place) for field in TEXT_FIELDS if field in record), ""),
        source=place,
    )


def _docid(record: dict[str, object], place: str) -> str:
    field = next((field for field in DOCID_FIELDS if field in record), None)
    if field is None:
        raise InputError(f"{place}: no id.", remedy=f"The id is looked for in {', '.join(DOCID_FIELDS)}.")
    value = record[field]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{place}: '{field}' is {_kind(value)}.", remedy="An id is a string.")
    # TREC and MS MARCO run files are split at white space, so such an id could be written but never read back.
    if not value or any(character.isspace() for character in value):
        raise InputError(f"{place}: '{field}' is {value!r}.", remedy="An id is not empty and holds no white space.")
    return value


def _string(record: dict[str, object], field: str, place: str) -> str:
    value = record.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{place}: '{field}' is {_kind(value)}.", remedy=f"'{field}' is a string.")
    return value


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")
