"""Read the title and the text of a stored document, of a usual shape or in given fields. Knows no engine."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sidecar.core.candidates import Passage, TextPart

# A model reads far less (the longest setting is 131072 tokens); one huge document must not slow down its window.
MAX_CHARACTERS = 1_000_000
MAX_VALUES = 100_000
# Limits for nested arrays, and for the objects that are searched for fields.
MAX_DEPTH = 30

# How many documents are searched for fields, and how many fields are named, if none of the set fields holds text.
_LOOKED_INTO, _NAMED = 10, 8
_IDS = {"_id", "id", "docid", "pid"}

Opened = Callable[[Any], Any]

# In DPR's and KILT's Wikipedia the title in double quotes is the first line of the contents.
_QUOTED_TITLE = re.compile(r'\A"(?P<title>[^\n]*)"\r?\n(?P<text>.*)\Z', flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class PassageFields:
    """The document fields that hold the title and the text: for each, the first field that exists and is not blank.

    The defaults read BEIR (`title`, `text`), MS MARCO v1 (`contents`), its v2 passages (`passage`), documents (`body`)
    and document segments (`segment`), and what search indexes commonly have (`content`). A field is a dotted path
    through objects and arrays of them. With `join`, the text is that of every text field that holds any, in this order
    and with `join` between them, as OpenSearch's own rerank processor joins its `document_fields`.
    """

    title: tuple[str, ...] = ("title",)
    text: tuple[str, ...] = ("text", "contents", "passage", "segment", "body", "content")
    join: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """Return the title fields, then the text fields."""
        return (*self.title, *self.text)


def passage_in(sources: Sequence[Mapping[str, Any]], fields: PassageFields, opened: Opened = lambda it: it) -> Passage:
    """Read title and text out of objects that describe one document: each field from the first object that has it.

    The values of an array are joined, by spaces in a title and by new lines in a text. A number is read as text, since
    a title may be `1984`. `opened` turns a value into a mapping, a list, a text or a number; any other value holds no
    text.
    """
    title = next(_found(sources, fields.title, " ", opened), ("", ""))
    found = _found(sources, fields.text, "\n", opened)
    texts = list(islice(found, 1)) if fields.join is None else list(found)
    separator = fields.join or ""
    text = separator.join(text for _, text in texts)
    used = tuple(field for field, _ in (title, *texts) if field)
    return Passage(title[1], text[:MAX_CHARACTERS], used, tuple(_parts(texts, len(separator))))


def _parts(texts: Iterable[tuple[str, str]], between: int) -> Iterator[TextPart]:
    """Yield where each field's text is in the joined one, which has `between` characters between two."""
    start = 0
    for field, text in texts:
        if start >= MAX_CHARACTERS:
            return
        yield TextPart(field, start, min(start + len(text), MAX_CHARACTERS))
        start += len(text) + between


def text_fields_in(record: Mapping[str, Any], opened: Opened = lambda it: it) -> list[str]:
    """List the dotted paths at which an object holds text, in its order: the paths that `PassageFields` could name."""
    return list(dict.fromkeys(islice(_paths(record, "", MAX_DEPTH, opened), MAX_VALUES)))


def nothing_to_read(documents: Sequence[bytes], fields: PassageFields) -> str:
    """Say that no document has text in the set fields, which fields have text, and which setting to change.

    `documents` are JSON, as stored; only the first few are searched.
    """
    counts: Counter[str] = Counter()
    for document in documents[:_LOOKED_INTO]:
        record = json_object(document.decode("utf-8", "replace"))
        counts.update(path for path in text_fields_in(record or {}) if path not in _IDS)
    looked = f"no candidate has text in {', '.join(fields.all)}, so nothing was reranked."
    if not counts:
        return f"{looked} The first documents hold no text in any field: is it stored, and is this the right index?"
    names = [name for name, _ in counts.most_common(_NAMED)]
    return f"{looked} The documents have text in {', '.join(names)}: set --text-fields or SIDECAR_TEXT_FIELDS."


def passage_of(raw: str | None, contents: str | None, fields: PassageFields) -> Passage:
    """Read title and text out of a Lucene document's two stored fields; both are empty if there is no text.

    A `raw` that is a JSON object is read by `fields`; a JSON array of texts becomes one line for each. For any other
    text, `contents` is taken before `raw`, which in TREC collections still has its markup. A title in double quotes on
    a line of its own is split off if no field holds one.
    """
    found = _json(raw) if raw is not None else None
    if isinstance(found, dict):
        return passage_of_record(found, fields, otherwise=contents or "")
    if contents is None and found and isinstance(found, list) and all(isinstance(one, str) for one in found):
        return _with_quoted_title(Passage("", "\n".join(found), ("raw",)))
    text, field = (contents, "contents") if contents is not None else (raw or "", "raw")
    return _with_quoted_title(Passage("", text, (field,) if text else ()))


def passage_of_record(record: Mapping[str, object], fields: PassageFields, *, otherwise: str = "") -> Passage:
    """Read title and text out of a JSON object; `otherwise` is the text if no text field holds any."""
    passage = passage_in([record], fields)
    if not passage.text and otherwise:
        passage = Passage(passage.title, otherwise, (*passage.fields, "contents"))
    return _with_quoted_title(passage)


def json_object(raw: str) -> dict[str, object] | None:
    """Return `raw` parsed if it is a JSON object, None for any other text."""
    found = _json(raw)
    return found if isinstance(found, dict) else None


def _json(raw: str) -> object:
    if not raw.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _found(
    sources: Sequence[Mapping[str, Any]], fields: Sequence[str], separator: str, opened: Opened
) -> Iterator[tuple[str, str]]:
    """Yield each field that holds text, in order, with its text."""
    for field in fields:
        text = _text_at(sources, field, separator, opened)
        if text:
            yield field, text


def _text_at(sources: Sequence[Mapping[str, Any]], field: str, separator: str, opened: Opened) -> str:
    """Return the text at a path of the first object that has text there; an empty text if no object has any."""
    for record in sources:
        # A window has about a hundred documents times eight fields: this check avoids the walk if the field is absent
        # or holds a text.
        there = record.get(field)
        if there is None and "." not in field:
            continue
        value = None if there is None else opened(there)
        if isinstance(value, str):
            found = value[:MAX_CHARACTERS]
        else:
            found = separator.join(_bounded(_beneath(record, field.split("."), opened)))
        if found.strip():
            return found
    return ""


def _bounded(texts: Iterable[str]) -> Iterator[str]:
    left = MAX_CHARACTERS
    for text in islice(texts, MAX_VALUES):
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _beneath(record: Mapping[str, Any], path: list[str], opened: Opened) -> Iterator[str]:
    # OpenSearch treats {"meta": {"title": …}} and {"meta.title": …} as the same field, and `fields` returns it so.
    for length in range(len(path), 0, -1):
        name = ".".join(path[:length])
        if record.get(name) is not None:
            yield from _texts(record[name], path[length:], MAX_DEPTH, opened)
            return


def _texts(value: Any, path: list[str], depth: int, opened: Opened) -> Iterator[str]:
    """Yield the texts at a path beneath a value; `depth` is that of arrays in arrays."""
    value = opened(value)
    if isinstance(value, list):
        for element in value if depth else ():
            yield from _texts(element, path, depth - 1, opened)
    elif isinstance(value, Mapping):
        yield from _beneath(value, path, opened) if path else ()
    elif not path and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _paths(record: Mapping[str, Any], prefix: str, depth: int, opened: Opened) -> Iterator[str]:
    waiting = [(name, value) for name, value in record.items()] if depth else []
    for name, closed in waiting:
        value = opened(closed)
        for one in map(opened, value) if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield from _paths(one, f"{prefix}{name}.", depth - 1, opened)
            elif isinstance(one, str) and one.strip():
                yield prefix + name


def _with_quoted_title(passage: Passage) -> Passage:
    """Split off a quoted title, and make both texts well formed."""
    title, text = well_formed(passage.title), well_formed(passage.text)
    found = None if title else _QUOTED_TITLE.match(text)
    return Passage(found["title"], found["text"], passage.fields) if found else Passage(title, text, passage.fields)


def well_formed(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair, which JSON can escape but no tokenizer reads."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
