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

    A `raw` that is a JSON object is read by `fields`; a JSON array of texts is read a line each. Of any other text,
    `contents` is taken before `raw`, which in TREC collections still has its markup. A title in double quotes on a line
    of its own is split off if no field holds one.
    """
    found = _json(raw) if raw is not None else None
    if isinstance(found, dict):
        return passage_of_record(found, fields, otherwise=contents or "")
    if contents is None and found and isinstance(found, list) and all(isinstance(one, str) for one in found):
        return _passage("", "\n".join(found))
    return _passage("", contents if contents is not None else raw or "")


def passage_of_record(record: Mapping[str, object], fields: PassageFields, *, otherwise: str = "") -> Passage:
    """Read title and text out of a JSON object; `otherwise` is the text where no text field holds any.

    A field is a dotted path through objects and arrays; the texts of an array are joined, a title's by spaces.
    """
    return _passage(_first(record, fields.title, " "), _first(record, fields.text, "\n") or otherwise)


def json_object(raw: str) -> dict[str, object] | None:
    """Return `raw` parsed if it is a JSON object, None for any other text."""
    record = _json(raw)
    return record if isinstance(record, dict) else None


def _json(raw: str) -> object:
    if not raw.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _first(record: Mapping[str, object], fields: tuple[str, ...], separator: str) -> str:
    for field in fields:
        found = separator.join(_texts_of(record, field.split(".")))
        if found.strip():
            return found
    return ""


def _texts(value: object, path: list[str]) -> list[str]:
    """Collect the strings at a path; numbers too, for a title may be `1984`. Arrays in arrays hold no text."""
    if isinstance(value, list):
        return [text for element in value if not isinstance(element, list) for text in _texts(element, path)]
    if isinstance(value, dict):
        return _texts_of(value, path) if path else []
    return [] if path or value is None or isinstance(value, bool) else [str(value)]


def _texts_of(record: Mapping[str, object], path: list[str]) -> list[str]:
    # {"meta": {"title": …}} and {"meta.title": …} are the same field, as OpenSearch has it.
    for length in range(len(path), 0, -1):
        value = record.get(".".join(path[:length]))
        if value is not None:
            return _texts(value, path[length:])
    return []


def _passage(title: str, text: str) -> Passage:
    title, text = _well_formed(title), _well_formed(text)
    found = None if title else _QUOTED_TITLE.match(text)
    return Passage(found["title"], found["text"]) if found else Passage(title, text)


def _well_formed(text: str) -> str:
    """Half a surrogate pair, which JSON can escape and no tokenizer can read, becomes U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
