"""Topics of an experiment: query ids and their texts, from the usual file formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.collection_folders import query_file
from sidecar.core.errors import InputError
from sidecar.core.json_lines import is_object, parse, records
from sidecar.core.text_lines import fits_column, names_columns
from sidecar.experiments.datasets import Dataset, open_dataset
from sidecar.experiments.qrels import is_qrels_header, read_qrels

ID_FIELDS = ("_id", "qid", "query_id", "id")
TEXT_FIELDS = ("text", "query", "title")

# A first line `query_id<TAB>text` with any of these names is a header.
_ID_NAMES = {"_id", "id", "qid", "query_id", "query-id", "topic", "topic_id"}
_TEXT_NAMES = {"text", "query", "query_text", "title", "topic"}

_EXPECTED = 'Expected qid<TAB>text lines, objects like {"_id": …, "text": …}, or TREC topics (<top>).'
_OBJECTS = msgspec.json.Decoder(dict[str, Any])
_TAG = re.compile(r"<(/?\w+)[^>]*>")

# A place, a query id and its text.
_Entry = tuple[str, str, str]


def read_topics(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (query id, text) of lines, JSON, TREC topics, a BEIR folder or a dataset (see `datasets`), streamed.

    Lines are `qid<TAB>text`, a known header allowed; JSON is objects such as `{"_id": …, "text": …}`, one a line or in
    one array. The text of a TREC topic is its title. Of a BEIR folder only the judged queries are read, as by
    BEIR's own loader. Raises `InputError` with file and line for a malformed line, an empty query or an
    id that occurs twice; and if there is no query at all.
    """
    seen: set[str] = set()
    for where, qid, text in _entries(path):
        if not text.strip():
            raise InputError(f"{where}: the query {qid!r} is empty.")
        if not fits_column(qid):
            raise InputError(f"{where}: {qid!r} is not a query id.", remedy="An id is one word.")
        if qid in seen:
            raise InputError(f"{where}: the query {qid!r} was there before.")
        seen.add(qid)
        yield qid, text
    if not seen:
        raise InputError(f"{path} holds no query.", remedy=_EXPECTED)


def _entries(path: Path) -> Iterator[_Entry]:
    dataset = open_dataset(path)
    if dataset is not None:
        return _of_dataset(dataset)
    entries = _of_file(query_file(path))
    if path.is_dir():
        judged = read_qrels(path)
        return (entry for entry in entries if entry[1] in judged)
    return entries


def _of_file(path: Path) -> Iterator[_Entry]:
    lines = records(path)
    first = next(lines, None)
    if first is None:
        return
    if first[1].lstrip().lower().startswith(b"<top"):
        yield from _trec_topics(chain([first], lines))
        return
    if not names_columns(first[1].decode().split("\t"), _ID_NAMES, _TEXT_NAMES):
        yield _entry(*first)
    for where, line in lines:
        yield _entry(where, line)


def _entry(where: str, line: bytes) -> _Entry:
    qid, text = _from_json(line, where) if is_object(line) else _from_columns(line, where)
    return where, qid, text


def _from_columns(line: bytes, where: str) -> tuple[str, str]:
    qid, *texts = line.decode().split("\t")
    if not texts:
        raise InputError(f"{where}: no topic.", remedy=_EXPECTED)
    # A query may hold a tab, but a line that ends in a grade or a rank belongs to another kind of file.
    if len(texts) > 1 and (texts[-1].strip().isdecimal() or is_qrels_header([qid, *texts])):
        raise InputError(f"{where}: no topic but a line of judgements or of a run.", remedy=_EXPECTED)
    return qid.strip(), "\t".join(texts)


def _from_json(line: bytes, where: str) -> tuple[str, str]:
    topic = parse(line, where, _OBJECTS, what="no JSON object", remedy=_EXPECTED)
    qid = next((topic[name] for name in ID_FIELDS if isinstance(topic.get(name), str | int)), None)
    text = next((topic[name] for name in TEXT_FIELDS if isinstance(topic.get(name), str)), None)
    if qid is None or text is None:
        raise InputError(
            f"{where}: no {'id' if qid is None else 'text'}.",
            remedy=f"The id must be in one of {', '.join(ID_FIELDS)}, the text in one of {', '.join(TEXT_FIELDS)}.",
        )
    return str(qid), text


def _trec_topics(lines: Iterable[tuple[str, bytes]]) -> Iterator[_Entry]:
    """Yield each `<top>` with the number of `<num>` and the words of `<title>`; tags need not be closed."""
    begun, content = "", ""
    for where, line in lines:
        text = line.decode()
        if text.lstrip().lower().startswith("<top>"):
            if begun:
                raise InputError(f"{begun}: this <top> has no </top>.")
            begun, content = where, ""
        elif not begun:
            raise InputError(f"{where}: outside of any <top>.", remedy="TREC topics are <top> … </top>.")
        content += text + "\n"
        if text.rstrip().lower().endswith("</top>"):
            yield _trec_topic(content, begun)
            begun = ""
    if begun:
        raise InputError(f"{begun}: this <top> has no </top>.")


def _trec_topic(content: str, where: str) -> _Entry:
    parts = _TAG.split(content)
    fields = {name.lower(): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    if "num" not in fields or "title" not in fields:
        raise InputError(f"{where}: this <top> has no <{'title' if 'num' in fields else 'num'}>.")
    number = fields["num"].strip()
    title = " ".join(fields["title"].split())
    return where, _after(number, "Number:"), _after(title, "Topic:")


def _after(text: str, label: str) -> str:
    return text.removeprefix(label).strip()


def _of_dataset(dataset: Dataset) -> Iterator[_Entry]:
    for number, query in enumerate(dataset.queries(), start=1):
        text = query.default_text() if hasattr(query, "default_text") else query.text
        yield f"{dataset.name}, query {number}", query.query_id, text
