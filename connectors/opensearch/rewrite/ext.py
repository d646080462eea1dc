"""Ours in a search's `ext`: the text to rerank by, as OpenSearch's own rerank processor takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.full_query import text_at
from connectors.opensearch.rewrite.json_text import json_text

# As OpenSearch has it for a query_text_path.
MAX_PATH = 1000


class WrongExt(ValueError):
    """`ext.rerank` names no text."""


def ext_of_others(raw: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw] | None:
    """Take ours out of `ext`, None if it is not there."""
    try:
        ext = raw_json.members(raw["ext"]) if "ext" in raw else {}
    except raw_json.Malformed:
        return None
    if "rerank" not in ext:
        return None
    del ext["rerank"]
    return {"ext": msgspec.Raw(raw_json.joined(ext))} if ext else {}


def without_our_ext(body: bytes) -> bytes:
    """Return a search's body as it is to be forwarded: a node without neural-search refuses `ext.rerank`."""
    try:
        raw = raw_json.members(raw_json.escape_surrogates(json_text(body)))
    except raw_json.Malformed:
        return body
    foreign_ext = ext_of_others(raw)
    if foreign_ext is None:
        return body
    return raw_json.restore_surrogates(
        raw_json.joined({key: value for key, value in raw.items() if key != "ext"} | foreign_ext)
    )


def named_text(search: Mapping[str, Any], ours: object, url_query: str | None = None) -> str:
    """Find the text that `ext.rerank` names, itself or by its path in the search as OpenSearch writes it out in full.

    `url_query` is the URL's `q`. Raises `WrongExt`.
    """
    context = ours.get("query_context") if isinstance(ours, Mapping) else None
    given = context if isinstance(context, Mapping) else {}
    text, path = given.get("query_text"), given.get("query_text_path")
    if (text is None) == (path is None):
        raise WrongExt("ext.rerank.query_context needs exactly one of query_text and query_text_path")
    if path is not None:
        if not isinstance(path, str) or len(path) > MAX_PATH:
            raise WrongExt(f"ext.rerank: query_text_path is not a path of at most {MAX_PATH} characters")
        text = text_at(search, path, url_query)
    if not isinstance(text, str):
        raise WrongExt(f"ext.rerank: {'query_text' if path is None else path!r} is not a text")
    return text
