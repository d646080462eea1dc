"""From a stored document to what a model reads of it: the usual shapes, and fields of one's own. Knows no engine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.candidates import Passage

# DPR's and KILT's Wikipedia: the title in double quotes is the first line of the contents.
_QUOTED_TITLE = re.compile(r'\A"(?P<title>[^\n]*)"\r?\n(?P<text>.*)\Z', flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class PassageFields:
    """Which fields of a document hold its title and its text: of each the first that is there and not blank.

    The defaults read BEIR (`title`, `text`), MS MARCO v1 (`contents`), its v2 passages (`passage`), documents (`body`)
    and document segments (`segment`), and what search indexes commonly have (`content`).
    """

    title: tuple[str, ...] = ("title",)
    text: tuple[str, ...] = ("text", "contents", "passage", "segment", "body", "content")

    @property
    def all(self) -> tuple[str, ...]:
        """Title fields, then text fields."""
        return (*self.title, *self.text)


def passage_of(raw: str | None, contents: str | None, fields: PassageFields) -> Passage:
    """Read title and text out of a Lucene document's two stored fields; empty where there is nothing to read.

    A `raw` that is a JSON object is read by `fields`. Of any other text, `contents` is taken before `raw`, which in
    TREC collections still has its markup. A title in double quotes on a line of its own is split off if no field
    holds one.
    """
    record = json_object(raw) if raw is not None else None
    if record is None:
        text, field = (contents, "contents") if contents is not None else (raw or "", "raw")
        return _with_quoted_title(Passage("", text, (field,) if text else ()))
    return passage_of_record(record, fields, otherwise=contents or "")


def passage_of_record(record: Mapping[str, object], fields: PassageFields, *, otherwise: str = "") -> Passage:
    """Read title and text out of a JSON object; `otherwise` is the text where no text field holds any."""
    (title, title_field), (text, text_field) = _first(record, fields.title), _first(record, fields.text)
    if not text and otherwise:
        text, text_field = otherwise, "contents"
    passage = Passage(title, text, tuple(field for field in (title_field, text_field) if field))
    return passage if passage.title else _with_quoted_title(passage)


def json_object(raw: str) -> dict[str, object] | None:
    """Return `raw` parsed if it is a JSON object, None for any other text."""
    if not raw.lstrip().startswith("{"):
        return None
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _first(record: Mapping[str, object], fields: tuple[str, ...]) -> tuple[str, str]:
    for field in fields:
        value = record.get(field)
        if isinstance(value, str) and value.strip():
            return value, field
    return "", ""


def _with_quoted_title(passage: Passage) -> Passage:
    found = _QUOTED_TITLE.match(passage.text)
    return Passage(found["title"], found["text"], passage.fields) if found else passage
