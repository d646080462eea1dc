"""What a model reads of a hit: its title and text, found in `_source` or in `fields`. Pure, and blind to the query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from connectors.opensearch import splice
from sidecar.candidates import Passage
from sidecar.documents import PassageFields


def passage(sources: Iterable[msgspec.Raw], fields: PassageFields) -> Passage:
    """Read the first of the title fields and the first of the text fields that hold any text.

    `sources` are the objects to look in, best first. A field is a dotted path through objects and arrays of them.
    """
    objects = [splice.members(source) for source in sources]
    (title, title_field), (text, text_field) = _first(objects, fields.title, " "), _first(objects, fields.text, "\n")
    return Passage(title, text, tuple(field for field in (title_field, text_field) if field))


def _first(objects: Sequence[dict[str, msgspec.Raw]], fields: Sequence[str], separator: str) -> tuple[str, str]:
    for field in fields:
        for values in objects:
            found = separator.join(_texts_of(values, field.split(".")))
            if found.strip():
                return found, field
    return "", ""


def _texts(value: msgspec.Raw, path: list[str]) -> list[str]:
    """Collect the strings at a path; numbers as they are written, for a title may be `1984`."""
    first = bytes(value)[:1]
    if first == b"[":
        return [text for element in splice.elements(value) for text in _texts(element, path)]
    if first == b"{":
        return _texts_of(splice.members(value), path) if path else []
    if path:
        return []
    if first == b'"':
        return [splice.text(value)]
    return [bytes(value).decode()] if first in b"-0123456789" else []


def _texts_of(values: dict[str, msgspec.Raw], path: list[str]) -> list[str]:
    # OpenSearch takes {"meta": {"title": …}} and {"meta.title": …} for the same field, and `fields` answers so.
    for length in range(len(path), 0, -1):
        value = values.get(".".join(path[:length]))
        if value is not None:
            return _texts(value, path[length:])
    return []
