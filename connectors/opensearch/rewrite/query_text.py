"""The text to rerank by: named by `ext.rerank`, or derived from the clauses of a query that score. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors.opensearch.rewrite.full_query import MAX_DEPTH, opened, text_at

# As OpenSearch has it for a query_text_path.
MAX_PATH = 1000
# A model reads no more of a query, and the patterns below take quadratic time on hostile input (0.1 s for this much).
MAX_QUERY_STRING = 4000

_NEGATED_GROUP = re.compile(r"(?:(?<!\S)[-!]|\bNOT\s+)\([^()]*\)")
_CLAUSE = re.compile(
    r"""(?P<sign>(?:[-+!]|NOT\s+)?)                       # required or excluded
        (?P<field>(?:[\w.*]+:(?!/))?)                     # title:
        (?:"(?P<phrase>(?:[^"\\]|\\.)*)"(?:~\d+)?
          |(?P<range>[\[{][^\[\]{}]*[\]}]|[<>]=?\S+)
          |(?P<word>(?:[^\s()"|\\]|\\.)+))
        (?:\^[\d.]+)?""",
    re.VERBOSE,
)
_FIELD_OF_GROUP = re.compile(r"[\w.*]+:(?=\()")
_ESCAPED = re.compile(r"\\(.)")
_SUFFIX = re.compile(r"(?:~[\d.]*|\^[\d.]+)+$")


class WrongExt(ValueError):
    """`ext.rerank` names no text."""


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


def query_text(query: object) -> str:
    """Join all text of the clauses that score, in order, each once, by spaces; empty if there is none.

    It reads match, match_phrase, match_phrase_prefix, match_bool_prefix, multi_match, combined_fields, query_string,
    simple_query_string, more_like_this, intervals, span_term, neural and neural_sparse, wherever bool.must,
    bool.should, dis_max, function_score, script_score, nested, has_child, has_parent, boosting.positive, hybrid,
    wrapper, template and other span queries hold them. Exact values (term, terms, terms_set, prefix, wildcard, …) are
    not text that a person typed.
    """
    return " ".join(dict.fromkeys(text.strip() for text in _texts(query, MAX_DEPTH) if text.strip()))


def without_operators(query: str, *, simple: bool = False) -> str:
    """Keep the words of a `query_string` query, not its operators and excluded terms; a best effort, no parser.

    `simple` reads it as `simple_query_string`, where AND, OR, NOT and `field:` are words like any other.
    """
    query = query[:MAX_QUERY_STRING]
    if not simple:
        query = _FIELD_OF_GROUP.sub("", query)
    clauses = _CLAUSE.finditer(_NEGATED_GROUP.sub(" ", query))
    words = filter(None, (_simple_word(clause) if simple else _word(clause) for clause in clauses))
    return " ".join(_ESCAPED.sub(r"\1", " ".join(words)).split())


def _word(clause: re.Match[str]) -> str:
    if clause["sign"] not in {"", "+"} or clause["range"] or clause["field"] == "_exists_:":
        return ""
    word = clause["phrase"] or _SUFFIX.sub("", clause["word"] or "").strip("*?")
    return "" if word in {"AND", "OR", "NOT", "&&", "+", "-", "!"} else word


def _simple_word(clause: re.Match[str]) -> str:
    if clause["sign"] in {"-", "!"}:
        return ""
    word = clause["phrase"] or clause["range"] or _SUFFIX.sub("", clause["word"] or "").rstrip("*")
    return "" if word in {"+", "-"} else clause["sign"].strip("+") + clause["field"] + word


def _texts(query: object, depth: int) -> Iterator[str]:
    if not isinstance(query, Mapping) or depth == 0:
        return
    for kind, clause in query.items():
        read = _LEAVES.get(kind)
        if read is not None:
            yield from read(clause)
        yield from _texts(opened(kind, clause), depth - 1)
        for key in _BRANCHES.get(kind, ()):
            inner = clause.get(key) if isinstance(clause, Mapping) else None
            for one in inner if isinstance(inner, list) else [inner]:
                yield from _texts(one, depth - 1)


def _by_field(clause: object, key: str = "query") -> Iterator[str]:
    """`{field: text}` or `{field: {key: text}}`."""
    if isinstance(clause, Mapping):
        for value in clause.values():
            yield from _literal(value.get(key) if isinstance(value, Mapping) else value)


def _by_query(clause: object) -> Iterator[str]:
    """`{"query": text}`."""
    if isinstance(clause, Mapping):
        yield from _literal(clause.get("query"))


def _like(clause: object) -> Iterator[str]:
    """`{"like": [text, {"_id": …}]}`: documents that are named have no text here."""
    like = clause.get("like") if isinstance(clause, Mapping) else None
    for one in like if isinstance(like, list) else [like]:
        yield from _literal(one)


def _intervals(rules: object, depth: int) -> Iterator[str]:
    """`{field: {"match": {"query": text}}}`, also in all_of and any_of; a rule's `filter` only filters."""
    for rule in rules.values() if isinstance(rules, Mapping) and depth else ():
        for kind, inner in rule.items() if isinstance(rule, Mapping) else ():
            if kind == "match":
                yield from _by_query(inner)
            elif kind in {"all_of", "any_of"} and isinstance(inner, Mapping):
                several = inner.get("intervals")
                for one in several if isinstance(several, list) else []:
                    yield from _intervals({"": one}, depth - 1)


def _literal(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


_LEAVES: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "match": _by_field,
    "match_phrase": _by_field,
    "match_phrase_prefix": _by_field,
    "match_bool_prefix": _by_field,
    "multi_match": _by_query,
    "combined_fields": _by_query,
    "query_string": lambda clause: map(without_operators, _by_query(clause)),
    "simple_query_string": lambda clause: (without_operators(text, simple=True) for text in _by_query(clause)),
    "more_like_this": _like,
    "intervals": lambda clause: _intervals(clause, MAX_DEPTH),
    "span_term": lambda clause: _by_field(clause, "value"),
    "neural": lambda clause: _by_field(clause, "query_text"),
    "neural_sparse": lambda clause: _by_field(clause, "query_text"),
}

# Only what adds to the score: no bool.filter, no must_not, no constant_score, no boosting.negative.
_BRANCHES: Mapping[str, tuple[str, ...]] = {
    "bool": ("must", "should"),
    "boosting": ("positive",),
    "dis_max": ("queries",),
    "function_score": ("query",),
    "has_child": ("query",),
    "has_parent": ("query",),
    "hybrid": ("queries",),
    "nested": ("query",),
    "script_score": ("query",),
    "field_masking_span": ("query",),
    "span_containing": ("little", "big"),
    "span_first": ("match",),
    "span_near": ("clauses",),
    "span_not": ("include",),
    "span_or": ("clauses",),
    "span_within": ("little", "big"),
}
