"""Reads from an index's mapping which fields hold text, and how to get that text. No I/O.

The mapping is the answer to `GET /INDEX/_mapping/field/*`, for which the right to read an index is enough: it names
every field by its dotted path, including aliases, derived fields and multi-fields, and what `_source` leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from fnmatch import fnmatchcase

import msgspec

# Types of fields for prose; other types that hold text hold exact values.
_TEXT = {"match_only_text", "search_as_you_type", "text"}


class Way(Enum):
    """How a search gets the text of a field."""

    SOURCE = "in _source"
    FIELDS = "by the option `fields`: an alias, a multi-field, a derived or a constant one"
    STORED = "by the option `stored_fields`, for it is not in _source"
    COPIED = "not at all: it is the target of a copy_to, which is kept nowhere"
    LOST = "not at all: it is neither in _source nor stored"
    ABSENT = "not at all: the index has no such field"

    @property
    def is_readable(self) -> bool:
        """Whether a search can get the text."""
        return self in {Way.SOURCE, Way.FIELDS, Way.STORED}


class _Field(msgspec.Struct):
    type: str = ""
    store: bool = False
    copy_to: list[str] | str = []
    script: msgspec.Raw = msgspec.Raw()
    enabled: bool = True
    includes: list[str] = []
    excludes: list[str] = []


class _Entry(msgspec.Struct):
    mapping: dict[str, _Field] = {}


class _OfIndex(msgspec.Struct):
    mappings: dict[str, _Entry] = {}


_ANSWER = msgspec.json.Decoder(dict[str, _OfIndex], strict=False)


class IndexFields:
    """The fields of one index, by dotted path."""

    def __init__(self, mappings: Mapping[str, _Entry]) -> None:
        found = {name: entry.mapping[next(iter(entry.mapping))] for name, entry in mappings.items() if entry.mapping}
        self._source = found.pop("_source", _Field())
        self._fields = found
        self._copied: dict[str, list[str]] = {}
        for name, field in found.items():
            for target in [field.copy_to] if isinstance(field.copy_to, str) else field.copy_to:
                self._copied.setdefault(target, []).append(name)

    @property
    def has_source(self) -> bool:
        """Whether the index keeps its documents as they came."""
        return self._source.enabled

    @property
    def text(self) -> tuple[str, ...]:
        """The fields that a person wrote text into, each text once: no multi-field, no alias, no copy."""
        own = (name for name, field in sorted(self._fields.items()) if field.type in _TEXT)
        once = (name for name in own if name not in self._copied and not self._is_beneath(name))
        return tuple(name for name in once if self.way(name).is_readable)

    def copied_from(self, name: str) -> list[str]:
        """The fields whose text a copy_to target holds."""
        return sorted(self._copied.get(name, ()))

    def way(self, name: str) -> Way:
        """Tell how a search gets the text of that field."""
        field = self._fields.get(name)
        if field is None:
            return Way.ABSENT
        is_made = bytes(field.script) != b"" or field.type in {"alias", "constant_keyword"} or self._is_beneath(name)
        in_source = self.has_source and not self._is_left_out(name)
        if is_made and self.has_source:
            return Way.STORED if field.store else Way.FIELDS
        if in_source and name not in self._copied:
            return Way.SOURCE
        if field.store:
            return Way.STORED
        return Way.COPIED if name in self._copied else Way.LOST

    def _is_beneath(self, name: str) -> bool:
        """Tell whether a field is a sub-field, which takes its text from the field above."""
        return name.rpartition(".")[0] in self._fields

    def _is_left_out(self, name: str) -> bool:
        kept = self._source.includes
        return _matches(name, self._source.excludes) or (bool(kept) and not _matches(name, kept))


def read(answer: bytes) -> dict[str, IndexFields]:
    """Read the fields of each index; none if the answer has another shape."""
    try:
        return {index: IndexFields(found.mappings) for index, found in _ANSWER.decode(answer).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*") for pattern in patterns)
