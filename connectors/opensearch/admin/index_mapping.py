"""Reads from an index's mapping which of its fields hold text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from opensearchpy import OpenSearch, TransportError

from connectors.opensearch.rewrite.field_plan import FieldPlan, reading, unknown, unread_indexes
from connectors.opensearch.rewrite.index_fields import read
from connectors.opensearch.transport import Call, engine_error, send
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected

_TEXT = {"text", "match_only_text", "keyword", "constant_keyword", "wildcard", "search_as_you_type"}


def text_fields(client: OpenSearch, index: str) -> list[str] | None:
    """Name the fields of an index that may hold text, by dotted path; None if this account may not read the mapping.

    Raises an `EngineError`.
    """
    try:
        answer = client.indices.get_mapping(index=index)
    except TransportError as error:
        failure = engine_error(client, error)
        if isinstance(failure, EngineRejected) and failure.status in {401, 403}:
            return None
        raise failure from error
    # An alias or a pattern answers with several indices.
    found = (name for one in answer.values() for name in fields_in(one.get("mappings", {})))
    return list(dict.fromkeys(found))


def reading_of(client: OpenSearch, index: str, fields: PassageFields) -> FieldPlan:
    """Choose the fields to read of an index, or of all that an expression names; see `reading`.

    A mapping that this account may not see is a warning. Raises an `EngineError`.
    """
    path = f"/{quote(index, safe=',*')}/_mapping/field/*"
    try:
        found = read(send(client, Call(None, b"", {}, {}, path=path)))
    except EngineRejected as refused:
        if refused.status not in {401, 403}:
            raise
        return unknown(fields, [index], refused.status)
    lacking = unread_indexes(fields, found)
    return reading(fields, found, lacking, all_lack=len(lacking) == len(found))


def fields_in(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """List the text fields of a mapping in its order, with those inside objects but without sub-fields."""
    for name, field in mapping.get("properties", {}).items():
        path = f"{prefix}{name}"
        if "properties" in field:
            yield from fields_in(field, f"{path}.")
        elif field.get("type") in _TEXT:
            yield path
