"""Finds texts of a query by the paths that they have once OpenSearch has written the query out in full. No I/O.

OpenSearch resolves a `query_text_path` in the search as it understood it, not as it was typed:
`{"match": {"text": "x"}}` becomes `{"match": {"text": {"query": "x", …}}}`, a lone clause becomes a list, `wrapper` and
`template` become the query inside them (2.19.1, measured with the real rerank processor).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

# Deeper queries are legal (OpenSearch stops at 30 by default), but no text that a person typed lies there.
MAX_DEPTH = 30

# Queries of the shape {field: text} or {field: {key: text}}: the key.
_BY_FIELD = {
    "common": "query",
    "fuzzy": "value",
    "match": "query",
    "match_bool_prefix": "query",
    "match_phrase": "query",
    "match_phrase_prefix": "query",
    "neural": "query_text",
    "neural_sparse": "query_text",
    "prefix": "value",
    "regexp": "value",
    "span_term": "value",
    "term": "value",
    "wildcard": "wildcard",
}
# Other keys of a text in a field's object, as people may write it.
_TYPED_AS: Mapping[str, tuple[str, ...]] = {"span_term": ("term",), "wildcard": ("value",)}
# Queries of the shape {"query": text}.
_BY_QUERY = {"combined_fields", "multi_match", "query_string", "simple_query_string"}
# The members that hold queries: one (False), or a list (True), which may be typed as a lone one.
_BRANCHES: Mapping[str, Mapping[str, bool]] = {
    "bool": {"must": True, "should": True, "filter": True, "must_not": True},
    "boosting": {"positive": False, "negative": False},
    "constant_score": {"filter": False},
    "dis_max": {"queries": True},
    "function_score": {"query": False},
    "has_child": {"query": False},
    "has_parent": {"query": False},
    "hybrid": {"queries": True},
    "nested": {"query": False},
    "script_score": {"query": False},
    "span_containing": {"big": False, "little": False},
    "span_field_masking": {"query": False},
    "span_first": {"match": False},
    "span_multi": {"match": False},
    "span_near": {"clauses": True},
    "span_not": {"include": False, "exclude": False},
    "span_or": {"clauses": True},
    "span_within": {"big": False, "little": False},
}
_RENAMED: Mapping[str, str] = {"field_masking_span": "span_field_masking", "mustNot": "must_not"}


def text_at(search: Mapping[str, Any], path: str, url_query: str | None = None) -> str | None:
    """Find the text at a dotted path of a search, written out in full; None where there is no text.

    Paths lead into `query` (which `url_query`, the URL's `q`, replaces), `post_filter`, `rescore` and `suggest`. A path
    may also leave out the number of a lone clause and the last key, as in the short form of a query
    (`query.match.text`), because that is unambiguous; OpenSearch accepts only the full path.
    """
    top, *keys = path.split(".")
    value = _top(search, top, url_query)
    for key in keys:
        value = _member(value, key)
    if isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    return value if isinstance(value, str) else None


def opened(kind: str, clause: Any) -> Any:
    """Return the query inside a `wrapper` (base64) or a `template`; None for any other kind, and for what is broken."""
    if kind == "template":
        return clause
    if kind != "wrapper" or not isinstance(clause, Mapping):
        return None
    try:
        return json.loads(base64.b64decode(str(clause.get("query")), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _top(search: Mapping[str, Any], name: str, url_query: str | None) -> Any:
    if name == "query" and url_query is not None:
        return {"query_string": {"query": url_query}}
    value = search.get(name)
    if name in {"query", "post_filter"}:
        return _full(value, MAX_DEPTH)
    if name == "rescore":
        return [_rescore(one) for one in _as_list(value)]
    return value if name == "suggest" else None


def _member(value: Any, key: str) -> Any:
    if isinstance(value, list):
        if key.isascii() and key.isdecimal():
            return value[int(key)] if len(key) < 6 and int(key) < len(value) else None
        return _member(value[0], key) if len(value) == 1 else None
    return value.get(key) if isinstance(value, Mapping) else None


def _rescore(one: Any) -> Any:
    query = one.get("query") if isinstance(one, Mapping) else None
    inner = query.get("rescore_query") if isinstance(query, Mapping) else None
    return {"query": {"rescore_query": _full(inner, MAX_DEPTH)}}


def _full(query: Any, depth: int) -> Any:
    """Write out the members of a query that hold text, or queries with text; leave out all others."""
    if not isinstance(query, Mapping) or depth == 0:
        return None
    written: dict[str, Any] = {}
    for typed, clause in query.items():
        kind = _RENAMED.get(str(typed), str(typed))
        inside = opened(kind, clause)
        if inside is not None:
            written |= _full(inside, depth - 1) or {}
        else:
            written[kind] = _clause(kind, clause, depth)
    return written


def _clause(kind: str, clause: Any, depth: int) -> Any:
    if kind == "terms":
        return clause
    if not isinstance(clause, Mapping):
        return None
    if kind in _BY_FIELD:
        return {field: _of_field(kind, value) for field, value in clause.items()}
    if kind == "intervals":
        return {field: _intervals(rule, depth) for field, rule in clause.items()}
    if kind == "more_like_this":
        return {"like": _as_list(clause.get("like"))}
    return {"query": clause.get("query")} if kind in _BY_QUERY else _branches(kind, clause, depth)


def _branches(kind: str, clause: Mapping[str, Any], depth: int) -> dict[str, Any]:
    branches = _BRANCHES.get(kind, {})
    written: dict[str, Any] = {}
    for typed, value in clause.items():
        name = _RENAMED.get(str(typed), str(typed))
        if branches.get(name):
            written[name] = [_full(one, depth - 1) for one in _as_list(value)]
        elif name in branches:
            written[name] = _full(value, depth - 1)
    return written


def _of_field(kind: str, value: Any) -> dict[str, Any]:
    key = _BY_FIELD[kind]
    if not isinstance(value, Mapping):
        return {key: value}
    names = (key, *_TYPED_AS.get(kind, ()))
    return {key: next((value[name] for name in names if name in value), None)}


def _intervals(rule: Any, depth: int) -> Any:
    """Keep the texts of an `intervals` rule and of the rules inside it."""
    if depth == 0:
        return None
    if isinstance(rule, list):
        return [_intervals(one, depth - 1) for one in rule]
    if not isinstance(rule, Mapping):
        return None
    texts = {name: rule[name] for name in ("query", "prefix", "pattern", "term") if isinstance(rule.get(name), str)}
    return texts | {name: _intervals(inner, depth - 1) for name, inner in rule.items() if name not in texts}


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
