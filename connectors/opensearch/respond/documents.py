"""The title and text that a model reads of a hit, found in `_source` or in `fields`. Pure, and blind to the query.

Values are opened one level at a time, so that numbers no float holds and broken characters elsewhere are no obstacle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields, passage_in


def passage(sources: Iterable[msgspec.Raw], fields: PassageFields) -> Passage:
    """Read title and text; `sources` are the objects to look in, best first. Raises `splice.Malformed`."""
    return passage_in([raw_json.members(source) for source in sources], fields, _opened)


def _opened(value: msgspec.Raw) -> Any:
    """One level: an object's or array's values as they are, a text, a number as it is written; None for the rest."""
    first = bytes(value)[:1]
    if first == b"{":
        return raw_json.members(value)
    if first == b"[":
        return raw_json.elements(value)
    if first == b'"':
        return raw_json.text(value)
    return bytes(value).decode() if first in b"-0123456789" else None
