"""Which text a search's `_source` filters would hide, and how to borrow it through `fields`. Pure.

OpenSearch writes `fields` beside `_source` in each hit, from the same document; what was borrowed leaves again. It
gives only what is mapped: text that the mapping ignores stays out of reach where `_source` is filtered. What `_source`
never holds (aliases, multi-fields, stored fields of which it is no part) is borrowed in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.field_plan import FieldPlan


@dataclass(frozen=True, slots=True)
class Borrowed:
    """Additions to what the caller asked for: names for the options `fields` and `stored_fields`."""

    fields: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.fields + self.stored)


def borrowed(search: Mapping[str, Any], params: Mapping[str, Any], reading: FieldPlan) -> Borrowed:
    """Find what to ask for in addition: all that is read where `_source` won't be whole, else what it never holds.

    Left out is what the caller asked for.
    """
    wanted = reading.from_fields if _source_is_whole(search, params) else reading.names
    asked = _asked_for(search, params)
    # The option `fields` gives nothing that only `stored_fields` does.
    stored = _not_among(reading.from_stored, asked)
    free = _not_among(wanted, asked + _names(search.get("fields", [])))
    # An index without _source refuses the option `fields`.
    by_fields = [name for name in free if name not in reading.from_stored] if reading.has_source else []
    return Borrowed(tuple(by_fields), tuple(stored))


def _not_among(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)]


def _asked_for(search: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """List the names and patterns of what the caller will find in a hit's `fields`, beside those of that option."""
    asked: list[Any] = []
    for key in ("docvalue_fields", "stored_fields"):
        value = params[key].split(",") if key in params else search.get(key, [])
        asked += value if isinstance(value, list) else [value]
    collapse = search.get("collapse")
    asked += [collapse.get("field")] if isinstance(collapse, Mapping) else []
    asked += search.get("script_fields") or []
    return _names(asked)


def _names(entries: Sequence[Any]) -> list[str]:
    return [str(entry.get("field") if isinstance(entry, Mapping) else entry) for entry in entries]


def _source_is_whole(search: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    if "_source_includes" in params or "_source_excludes" in params:
        return False
    source = params["_source"] if "_source" in params else search.get("_source", _source_is_shown(search, params))
    if isinstance(source, Mapping):
        return not any(source.values())
    return source in (True, "true", "*", [], ["*"])


def _source_is_shown(search: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Tell whether OpenSearch shows `_source` unasked: not to who asks for stored or script fields."""
    return not ("stored_fields" in params or "stored_fields" in search or search.get("script_fields"))


def with_fields(asked: msgspec.Raw | None, borrowed: Sequence[str]) -> msgspec.Raw:
    """Write the `fields` to send: the caller's, as they are, and the borrowed ones."""
    entries = raw_json.elements(asked) if asked is not None else []
    return msgspec.Raw(msgspec.json.encode([*entries, *borrowed]))


def with_stored_fields(
    raw: Mapping[str, msgspec.Raw], search: Mapping[str, Any], params: Mapping[str, Any], names: Sequence[str]
) -> tuple[dict[str, msgspec.Raw], dict[str, Any]]:
    """Write the body and the parameters that ask for these stored fields, too, and show no less of `_source`."""
    body, url = dict(raw), dict(params)
    if not names:
        return body, url
    if "stored_fields" in url:
        return body, url | {"stored_fields": ",".join([str(url["stored_fields"]), *names])}
    given = search.get("stored_fields", [])
    body["stored_fields"] = msgspec.Raw(msgspec.json.encode([*(given if isinstance(given, list) else [given]), *names]))
    if _source_is_shown(search, params) and "_source" not in body:
        body["_source"] = msgspec.Raw(b"true")
    return body, url
