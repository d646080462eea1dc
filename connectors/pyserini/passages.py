"""From what a Lucene index stores of a document to its title and passage: the usual shapes, and one's own fields.

Pure: no JVM in here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.pyserini.hits import json_object
from sidecar.candidates import Passage

# DPR's and KILT's Wikipedia: the title in double quotes is the first line of the contents.
_QUOTED_TITLE = re.compile(r'\A"(?P<title>[^\n]*)"\r?\n(?P<text>.*)\Z', flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class PassageFields:
    """Which fields of a stored JSON document hold its title and its text: the first that is there and not blank.

    The defaults read BEIR (`title`, `text`), MS MARCO v1 (`contents`), its v2 passages (`passage`), documents (`body`)
    and document segments (`segment`).
    """

    title: tuple[str, ...] = ("title",)
    text: tuple[str, ...] = ("text", "contents", "passage", "segment", "body")


def passage_of(raw: str | None, contents: str | None, fields: PassageFields) -> Passage:
    """Read title and text out of a document's stored fields; empty where there is nothing to read.

    A `raw` that is a JSON object is read by `fields`. Of any other text, `contents` is taken before `raw`, which in
    TREC collections still has its markup. A title in double quotes on a line of its own is split off if no field
    holds one.
    """
    record = json_object(raw) if raw is not None else None
    if record is None:
        return _with_quoted_title(Passage("", contents if contents is not None else raw or ""))
    passage = Passage(_first(record, fields.title), _first(record, fields.text))
    if not passage.text and contents is not None:
        passage = Passage(passage.title, contents)
    return passage if passage.title else _with_quoted_title(passage)


def _first(record: dict[str, object], fields: tuple[str, ...]) -> str:
    for field in fields:
        value = record.get(field)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _with_quoted_title(passage: Passage) -> Passage:
    found = _QUOTED_TITLE.match(passage.text)
    return Passage(found["title"], found["text"]) if found else passage
