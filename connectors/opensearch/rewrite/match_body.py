"""Writes the search body for a query of plain words, as `sidecar search` and `sidecar run` send it. No I/O."""

from __future__ import annotations

from typing import Any

from sidecar.core.documents import PassageFields


def match_body(query: str, fields: PassageFields, size: int) -> dict[str, Any]:
    """Write a search of the words in title and text fields as if they were one; a field that isn't mapped is no fault.

    `cross_fields` weighs a word by its rarity in all fields together, as an index of the joined text does.
    """
    return {"query": {"multi_match": {"query": query, "fields": [*fields.all], "type": "cross_fields"}}, "size": size}
