"""Which text a search's `_source` filters would hide, and how to borrow it through `fields`. Pure.

OpenSearch writes `fields` beside `_source` in each hit, from the same document; what was borrowed leaves again. It
gives only what is mapped: text that the mapping ignores stays out of reach where `_source` is filtered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from connectors.opensearch import splice


def hidden(search: Mapping[str, Any], params: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """List the fields to ask for in addition, if `_source` won't be there whole: those the caller did not ask for."""
    if _source_is_whole(search, params):
        return []
    asked = _asked_for(search, params)
    return [name for name in dict.fromkeys(wanted) if not any(fnmatchcase(name, pattern) for pattern in asked)]


def _asked_for(search: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """List the names and patterns of all that the caller will find in a hit's `fields`."""
    asked: list[Any] = [*search["fields"]] if "fields" in search else []
    for key in ("docvalue_fields", "stored_fields"):
        value = params[key].split(",") if key in params else search.get(key, [])
        asked += value if isinstance(value, list) else [value]
    collapse = search.get("collapse")
    asked += [collapse.get("field")] if isinstance(collapse, Mapping) else []
    asked += search.get("script_fields") or []
    return [str(entry.get("field") if isinstance(entry, Mapping) else entry) for entry in asked]


def _source_is_whole(search: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    if "_source_includes" in params or "_source_excludes" in params:
        return False
    # Who asks for stored or script fields gets no _source but by request.
    stored = "stored_fields" in params or "stored_fields" in search or bool(search.get("script_fields"))
    source = params["_source"] if "_source" in params else search.get("_source", not stored)
    if isinstance(source, Mapping):
        return not any(source.values())
    return source in (True, "true", "*", [], ["*"])


def with_fields(asked: msgspec.Raw | None, borrowed: Sequence[str]) -> msgspec.Raw:
    """Write the `fields` to send: the caller's, as they are, and the borrowed ones."""
    entries = splice.elements(asked) if asked is not None else []
    return msgspec.Raw(msgspec.json.encode([*entries, *borrowed]))
