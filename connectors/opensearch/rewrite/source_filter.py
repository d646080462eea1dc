"""Finds text that a search's `_source` filters would hide, and requests it through the option `fields`. No I/O.

OpenSearch writes `fields` beside `_source` in each hit, from the same document; such borrowed fields are taken out of
the response again. The option gives mapped fields only: text that the mapping ignores can't be read if `_source` is
filtered. Text that `_source` never holds (aliases, multi-fields, separately stored fields) is borrowed in the same way.
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
    """Names added to the caller's options `fields` and `stored_fields`."""

    fields: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.fields + self.stored)


def borrowed(search: Mapping[str, Any], params: Mapping[str, Any], reading: FieldPlan) -> Borrowed:
    """Find the fields to add: all that are read if `_source` won't be whole, else those that it never holds.

    Fields that the caller requested are left out.
    """
    wanted = reading.from_fields if _source_is_whole(search, params) else reading.names
    requested = _requested(search, params)
    # The option `fields` gives nothing that only `stored_fields` does.
    stored = _not_among(reading.from_stored, requested)
    free = _not_among(wanted, requested + _names(search.get("fields", [])))
    # An index without _source refuses the option `fields`.
    by_fields = [name for name in free if name not in reading.from_stored] if reading.has_source else []
    return Borrowed(tuple(by_fields), tuple(stored))


def _not_among(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)]


def _requested(search: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """List names and patterns of what other options than `fields` put into a hit's `fields`."""
    requested: list[Any] = []
    for key in ("docvalue_fields", "stored_fields"):
        value = params[key].split(",") if key in params else search.get(key, [])
        requested += value if isinstance(value, list) else [value]
    collapse = search.get("collapse")
    requested += [collapse.get("field")] if isinstance(collapse, Mapping) else []
    requested += search.get("script_fields") or []
    return _names(requested)


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
    """Tell whether OpenSearch shows `_source` by default: not if stored or script fields are requested."""
    return not ("stored_fields" in params or "stored_fields" in search or search.get("script_fields"))


def with_fields(own: msgspec.Raw | None, borrowed: Sequence[str]) -> msgspec.Raw:
    """Write the `fields` to send: the caller's own, as they are, and the borrowed ones."""
    entries = raw_json.elements(own) if own is not None else []
    return msgspec.Raw(msgspec.json.encode([*entries, *borrowed]))


def with_stored_fields(
    raw: Mapping[str, msgspec.Raw], search: Mapping[str, Any], params: Mapping[str, Any], names: Sequence[str]
) -> tuple[dict[str, msgspec.Raw], dict[str, Any]]:
    """Add stored fields to a body and its parameters, so that `_source` is shown as before."""
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
