"""The names that a search may use, out of OpenSearch's answer to `GET /_resolve/index/*`. No I/O."""

from __future__ import annotations

import msgspec

# Closed and hidden indexes are left out: the first can't be searched, and nobody chooses the second by name.
TARGET = "/_resolve/index/*?expand_wildcards=open"
# A browser shows a list of this length at once.
MOST_NAMES = 1000


class _Named(msgspec.Struct):
    name: str


class _Resolved(msgspec.Struct):
    indices: list[_Named] = []
    aliases: list[_Named] = []
    data_streams: list[_Named] = []


def index_names(answer: bytes) -> list[str]:
    """Return the indexes, aliases and data streams in alphabetical order; none if the answer has another shape.

    Names that begin with a dot are left out: they are OpenSearch's own, or the parts of a data stream.
    """
    try:
        found = msgspec.json.decode(answer, type=_Resolved)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    names = {one.name for one in (*found.indices, *found.aliases, *found.data_streams)}
    return sorted(name for name in names if not name.startswith("."))
