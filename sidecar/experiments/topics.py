"""Topics of an experiment: query ids and their texts, from the files people have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from sidecar.errors import InputError
from sidecar.lines import numbered_lines

ID_FIELDS = ("_id", "qid", "query_id", "id")
TEXT_FIELDS = ("text", "query", "title")


def read_topics(path: Path) -> Iterator[tuple[str, str]]:
    """(query id, text) from `qid<TAB>text` lines or from JSON lines such as `{"_id": …, "text": …}`, streaming.

    Raises `InputError` with file and line for a malformed line, an empty query or an id that was there before.
    """
    seen: set[str] = set()
    for where, line in numbered_lines(path):
        qid, text = _from_json(line, where) if line.lstrip().startswith(b"{") else _from_columns(line, where)
        if not text.strip():
            raise InputError(f"{where}: the query {qid!r} is empty.")
        if not qid or any(character.isspace() for character in qid):
            raise InputError(f"{where}: {qid!r} is no query id.", remedy="An id is not empty and holds no white space.")
        if qid in seen:
            raise InputError(f"{where}: the query {qid!r} was there before.")
        seen.add(qid)
        yield qid, text


def _from_columns(line: bytes, where: str) -> tuple[str, str]:
    try:
        qid, text = line.decode().split("\t", maxsplit=1)
    except ValueError:
        raise InputError(f"{where}: no topic.", remedy='Expected qid<TAB>text or {"_id": …, "text": …}.') from None
    return qid.strip(), text


def _from_json(line: bytes, where: str) -> tuple[str, str]:
    try:
        topic = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: no JSON object: {error}.") from None
    qid = next((topic[name] for name in ID_FIELDS if isinstance(topic.get(name), str | int)), None)
    text = next((topic[name] for name in TEXT_FIELDS if isinstance(topic.get(name), str)), None)
    if qid is None or text is None:
        raise InputError(
            f"{where}: no {'id' if qid is None else 'text'}.",
            remedy=f"The id is looked for in {', '.join(ID_FIELDS)}, the text in {', '.join(TEXT_FIELDS)}.",
        )
    return str(qid), text
