"""What a model reads of a hit: its title and text, found in `_source` or in `fields`. Pure, and blind to the query.

Values are opened one level at a time, so that numbers no float holds and broken characters elsewhere are no obstacle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from connectors.opensearch import splice
from sidecar.candidates import Passage
from sidecar.documents import PassageFields, passage_in, text_fields_in


def passage(sources: Iterable[msgspec.Raw], fields: PassageFields) -> Passage:
    """Read title and text; `sources` are the objects to look in, best first. Raises `splice.Malformed`."""
    return passage_in([splice.members(source) for source in sources], fields, _opened)


def text_fields(sources: Iterable[msgspec.Raw]) -> list[str]:
    """List the dotted paths at which these objects hold text, each once. Raises `splice.Malformed`."""
    found = (name for source in sources for name in text_fields_in(splice.members(source), _opened_but_numbers))
    return list(dict.fromkeys(found))


def _opened(value: msgspec.Raw) -> Any:
    """One level: an object's or array's values as they are, a text, a number as it is written; None for the rest."""
    first = bytes(value)[:1]
    if first == b"{":
        return splice.members(value)
    if first == b"[":
        return splice.elements(value)
    if first == b'"':
        return splice.text(value)
    return bytes(value).decode() if first in b"-0123456789" else None


def _opened_but_numbers(value: msgspec.Raw) -> Any:
    """As `_opened`, but a number is none: as a text it would pass for one."""
    return _opened(value) if bytes(value)[:1] in {b"{", b"[", b'"'} else None
