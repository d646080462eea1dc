"""OpenSearch's `filter_path` on the bytes of a response: leaves the members that a caller wants to see. No I/O.

A path names members level by level; arrays don't count as levels. `*` stands for any part of a name, `**` for one level
or more, a backslash keeps a dot in a name. Paths that begin with `-` take away from what the others leave. Objects and
arrays in which nothing is left vanish. (Measured on 2.19 and 3.3.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

import msgspec

from connectors.opensearch import raw_json

# OpenSearch encodes a response anew if it filters it. This filter has that effect, and removes nothing.
NOTHING = "-rerank_sidecar_takes_nothing_away"
# No path that a person writes leads deeper; deeper values count as matched by no path.
MAX_DEPTH = 200

_SEPARATOR = re.compile(r"(?<!\\)\.")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_DEEP = "**"

Path = tuple[str, ...]


class NoPaths(ValueError):
    """Paths that OpenSearch refuses."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The paths to keep (all, if there are none), and those to remove from these."""

    keep: tuple[Path, ...]
    drop: tuple[Path, ...]


def parsed(text: str) -> Filters | None:
    """Read a list with commas, None if it is empty. Raises `NoPaths`."""
    paths = [path.strip() for path in text.split(",") if path.strip()]
    if not paths:
        return None
    if "-" in paths:
        raise NoPaths("filter_path excludes nothing by -")
    keep = tuple(_path(path) for path in paths if not path.startswith("-"))
    return Filters(keep, tuple(_path(path[1:]) for path in paths if path.startswith("-")))


def filtered(response: bytes, filters: Filters | None) -> bytes:
    """Apply filters to a response; the values that stay keep their bytes. Raises `raw_json.Malformed`."""
    if filters is None:
        return response
    try:
        return _filtered(response, filters)
    except raw_json.Malformed:
        return raw_json.restore_surrogates(_filtered(raw_json.escape_surrogates(response), filters))


def _filtered(response: bytes, filters: Filters) -> bytes:
    left: bytes | None = response
    if filters.keep:
        left = _left(response, filters.keep, keeping=True, depth=MAX_DEPTH)
    if filters.drop and left is not None:
        left = _left(left, filters.drop, keeping=False, depth=MAX_DEPTH)
    return left or b"{}"


def _path(text: str) -> Path:
    names = [_ESCAPED.sub(".", name) for name in _SEPARATOR.split(text)]
    # A dot at the end means nothing.
    return tuple(names[:-1] if len(names) > 1 and not names[-1] else names)


def _left(value: bytes | msgspec.Raw, paths: Sequence[Path], *, keeping: bool, depth: int) -> bytes | None:
    """Return the part of a value that stays, None for nothing; no path has matched the value itself yet."""
    first = bytes(value)[:1]
    if depth == 0 or first not in {b"{", b"["}:
        return None if keeping else bytes(value)
    if first == b"[":
        each = (_left(element, paths, keeping=keeping, depth=depth - 1) for element in raw_json.elements(value))
        array = b",".join(element for element in each if element is not None)
        return b"[" + array + b"]" if array else None
    found: dict[str, msgspec.Raw] = {}
    for name, inner in raw_json.members(value).items():
        further = _beneath(name, paths)
        matched = () in further
        if matched or not further:
            if matched is keeping:
                found[name] = inner
        elif (rest := _left(inner, further, keeping=keeping, depth=depth - 1)) is not None:
            found[name] = msgspec.Raw(rest)
    return raw_json.joined(found) if found else None


def _beneath(name: str, paths: Sequence[Path]) -> list[Path]:
    """Return the rest of the paths beneath a member of that name; an empty path has matched it."""
    further = []
    for path in paths:
        if _pattern(path[0]).match(name):
            further += [path, path[1:]] if path[0] == _DEEP and len(path) > 1 else [path[1:]]
    return further


@lru_cache(maxsize=1024)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(translate(re.sub(r"[?\[]", r"[\g<0>]", name)))
