"""Routes requests by method and raw path, as OpenSearch does: which are searches, and which may pass. No I/O.

OpenSearch compares the segments of the raw path, so `%5Fsearch` is not `_search`; it decodes the segment of a
placeholder (`%3Clogs-%7Bnow%2Fd%7D%3E` is an index expression), and ignores slashes at the end (2.19.1, measured).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from sidecar.serving.proxy.route_table import TABLE, Entry, Kind, PassThrough

__all__ = ["RESERVED", "Kind", "PassThrough", "Route", "passes", "route"]

RESERVED = b"/_sidecar"
_DOTTED = {b".", b".."}
# `<logs-{now/d}>` has a slash; no other index expression does.
_DATE_MATH = re.compile(rb"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Route:
    """The route of a request: its kind, the index expression of its path, decoded ("" for all), and who may pass it.

    `narrowest` is the narrowest mode that lets it through, `template` the path in the table, "" if it is not there.
    """

    kind: Kind
    index: str = ""
    narrowest: PassThrough = PassThrough.ALL
    template: str = ""


def _is_index(segment: bytes) -> bool:
    """Tell whether a segment names indices. An empty one, before a literal, means all indices to OpenSearch."""
    decoded = unquote_to_bytes(segment)
    if b"/" in _DATE_MATH.sub(b"", decoded):
        return False
    return decoded == b"_all" or (decoded not in _DOTTED and not decoded.startswith(b"_"))


def _is_name(segment: bytes) -> bool:
    return _is_any(segment) and not unquote_to_bytes(segment).startswith(b"_")


def _is_any(segment: bytes) -> bool:
    return bool(segment) and unquote_to_bytes(segment) not in _DOTTED


_PLACEHOLDERS: dict[bytes, Callable[[bytes], bool]] = {b"{index}": _is_index, b"{name}": _is_name, b"{any}": _is_any}


def _segments(raw_path: bytes) -> tuple[bytes, ...]:
    """Split a path as OpenSearch does, which ignores one slash at the beginning and all slashes at the end."""
    return tuple(raw_path.removeprefix(b"/").rstrip(b"/").split(b"/"))


def _by_length() -> dict[tuple[str, int], list[tuple[tuple[bytes, ...], str, Entry]]]:
    """Index the table's patterns by method and number of segments."""
    found: dict[tuple[str, int], list[tuple[tuple[bytes, ...], str, Entry]]] = defaultdict(list)
    for entry in TABLE:
        for path in entry.paths.split():
            pattern = _segments(path.encode())
            for method in entry.methods.split():
                found[method, len(pattern)].append((pattern, path, entry))
    return found


_PATTERNS = _by_length()


def route(method: str, raw_path: bytes) -> Route:
    """Find the route of a request; a request that is not in the table may write."""
    if raw_path == RESERVED or raw_path.startswith(RESERVED + b"/"):
        return Route(Kind.OURS)
    segments = _segments(raw_path) if raw_path.startswith(b"/") else ()
    for pattern, path, entry in _PATTERNS.get((method, len(segments)), ()):
        if all(map(_fits, pattern, segments)):
            named = segments[0] if pattern[:1] == (b"{index}",) else b""
            return Route(entry.kind, unquote(named.decode("latin-1")), entry.narrowest, path)
    return Route(Kind.OTHER)


def template_of(method: str, target: str) -> str:
    """Return the path in the table for a request's target; "" if it is not there."""
    return route(method, target.partition("?")[0].encode()).template


def _fits(pattern: bytes, segment: bytes) -> bool:
    placeholder = _PLACEHOLDERS.get(pattern)
    return placeholder(segment) if placeholder is not None else pattern == segment


def passes(method: str, raw_path: bytes, allowed: PassThrough) -> bool:
    """Tell whether a request that is not ours may reach OpenSearch."""
    if allowed is PassThrough.ALL:
        return True
    narrowest = route(method, raw_path).narrowest
    return narrowest is PassThrough.SEARCH or narrowest is allowed
