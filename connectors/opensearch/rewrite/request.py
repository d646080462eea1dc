"""Rewrites a search body so that the engine answers with a whole window. Bytes in, bytes out, no I/O.

The window never depends on `from` and `size`, so every page is a slice of one reranked list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.fetch_phase import lean, worthwhile
from connectors.opensearch.rewrite.field_plan import FieldPlan
from connectors.opensearch.rewrite.filter_path import NOTHING, Filters, NoPaths, parsed
from connectors.opensearch.rewrite.query_text import WrongExt, named_text, query_text, without_operators
from connectors.opensearch.rewrite.search_body import SearchBody
from connectors.opensearch.rewrite.source_filter import borrowed, with_fields, with_stored_fields
from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError
from sidecar.core.reasons import Reason, Why

WINDOW = 100
FetchPhase = Literal["window", "page"]
# A larger body takes longer to parse than a window takes to rerank; OpenSearch itself accepts 100 MB.
MAX_BODY = 10 * 1024 * 1024
# In characters. No model reads more of a query, and each passage is read with it.
MAX_QUERY = 10_000

_SURROGATE = re.compile("[\ud800-\udfff]")
# Members of a search with which the window is the first hits by score, whatever the page: those of OpenSearch 3, and
# `runtime_mappings` of Elasticsearch. `_require_rerankable` looks at the values of some of them.
_RERANKED = frozenset({
    "_source", "aggregations", "aggs", "collapse", "derived", "docvalue_fields", "explain", "ext", "fields", "from",
    "highlight", "include_named_queries_score", "indices_boost", "min_score", "post_filter", "profile", "query",
    "rescore", "runtime_mappings", "script_fields", "search_pipeline", "seq_no_primary_term", "size", "sort", "stats",
    "stored_fields", "suggest", "terminate_after", "timeout", "track_scores", "track_total_hits", "verbose_pipeline",
    "version",
})  # fmt: skip
_NOT_RERANKED = {
    "search_after": "search_after pages by sort values, which reranking would break",
    "pit": "a point in time pages by sort values, which reranking would break",
    "slice": "a slice is part of a scroll, which keeps its own order",
    "retriever": "a retriever ranks windows of its own; write its query as query, and the sidecar reranks its hits",
    "knn": "knn adds its own nearest hits to those of the query; write it as a clause of query",
    "rank": "rank orders the hits of several searches by itself",
    "sub_searches": "sub_searches are ranked together by something else than their scores",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A rewritten search: what to send instead, and what its caller requested.

    `body` and `params` are to be sent; if the engine refuses them, `original` is sent: the caller's own body without
    `ext.rerank`. `query` is the text to rerank by. `start` and `size` cut the caller's page out of the reranked list,
    of which the first `window` hits are scored. `borrowed` are fields that the caller did not request: they hold the
    text that the caller's `_source` hides, and are taken out of the response again. `filters` are the caller's
    `filter_path`. If `body` leaves out what only the page needs (see `fetch_phase`), `whole` is the window with it.
    """

    body: bytes
    original: bytes
    params: Mapping[str, Any]
    query: str
    start: int
    size: int
    window: int
    borrowed: frozenset[str]
    filters: Filters | None = None
    whole: bytes | None = None

    @property
    def requested(self) -> int:
        """The number of hits that `body` requests."""
        return max(self.window, self.start + self.size)


@dataclass(frozen=True, slots=True)
class Unranked:
    """A search that can't be reranked, and the reason. `body` is to be sent: the caller's own without `ext.rerank`."""

    reason: Why
    body: bytes


class _NotRerankable(Exception):
    """Ends the planning."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.why = Why(reason, words)


def plan(  # noqa: PLR0913  each is a decision of its own, by keyword
    body: SearchBody,
    *,
    window: int = WINDOW,
    fields: PassageFields = PassageFields(),
    params: Mapping[str, Any] | None = None,
    fetch_phase: FetchPhase = "window",
    reading: FieldPlan | None = None,
) -> Plan | Unranked:
    """Rewrite a search to fetch `max(window, from + size)` hits with their text, or say why that is impossible.

    `params` are the URL's; OpenSearch lets them override the body (2.19 and 3.3, measured), and so does this. A
    malformed search is left for the engine to refuse in its own words. `fetch_phase` says for which hits OpenSearch
    computes what reranking does not need: for the window's, or by a second request for the page's alone. `reading` is
    what is known of the fields beyond their names. Raises `ConfigurationError` for a window below 1.
    """
    if window < 1:
        raise ConfigurationError(f"the window is {window} hits.", remedy="Rerank at least 1 hit, usually 100.")
    params = params or {}
    if len(body.raw) > MAX_BODY:
        return Unranked(Why(Reason.BODY_TOO_LARGE, "the body is larger than 10 MB"), body.raw)
    try:
        raw, search = body.members_to_forward, body.values()
    except (ValueError, RecursionError):
        return Unranked(Why(Reason.NOT_JSON, "the body is not well-formed JSON"), body.raw)
    forwarded = body.forwarded
    try:
        _require_rerankable(search, params)
        start, size = _page(search, params)
        query = _query_of(search, params)
        filters = _filters(params)
    except _NotRerankable as refused:
        return Unranked(refused.why, forwarded)
    raw |= {"from": msgspec.Raw(b"0"), "size": msgspec.Raw(b"%d" % max(window, start + size))}
    more = borrowed(search, params, reading or FieldPlan(fields))
    if more.fields:
        raw["fields"] = with_fields(raw.get("fields"), more.fields)
    raw, url = with_stored_fields(raw, search, params, more.stored)
    whole = raw_json.restore_surrogates(raw_json.joined(raw))
    twice = fetch_phase == "page" and worthwhile(search, params)
    return Plan(
        body=raw_json.restore_surrogates(raw_json.joined(lean(raw))) if twice else whole,
        original=forwarded,
        params=unfiltered({key: value for key, value in url.items() if key not in {"from", "size"}}),
        query=query,
        start=start,
        size=size,
        window=window,
        borrowed=more.names,
        filters=filters,
        whole=whole if twice else None,
    )


def unfiltered(params: Mapping[str, Any]) -> dict[str, Any]:
    """Request the whole response: reranking needs what `filter_path` hides, which is filtered when we respond."""
    return {key: NOTHING if key == "filter_path" and value else value for key, value in params.items()}


def _require_rerankable(search: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    for key, reason in _NOT_RERANKED.items():
        if key in search:
            raise _NotRerankable(Reason.OWN_ORDER, reason)
    if unknown := search.keys() - _RERANKED:
        words = f"the sidecar does not know {min(unknown)[:50]!r} in a search, and it may order the hits"
        raise _NotRerankable(Reason.UNKNOWN_MEMBER, words)
    if not isinstance(search.get("fields", []), list):
        raise _NotRerankable(Reason.MALFORMED, "fields is not a list")
    if "scroll" in params:
        raise _NotRerankable(Reason.OWN_ORDER, "a scroll keeps its own order over all its pages")
    if "source" in params:
        raise _NotRerankable(Reason.OTHER_FORM, "the body came in the URL (source)")
    if str(params.get("format", "json")) != "json":
        raise _NotRerankable(Reason.OTHER_FORM, "the response was asked for in another format than JSON")
    if not (_by_score_in_url(str(params["sort"])) if "sort" in params else _by_score(search.get("sort", []))):
        raise _NotRerankable(Reason.OWN_ORDER, "the hits are sorted by something else than their score")
    stored = params.get("stored_fields", search.get("stored_fields"))
    if stored in ("_none_", ["_none_"]):
        raise _NotRerankable(Reason.NO_TEXT, "stored_fields _none_ leaves no text to rerank by")


def _filters(params: Mapping[str, Any]) -> Filters | None:
    try:
        return parsed(str(params.get("filter_path", "")))
    except NoPaths as refused:
        raise _NotRerankable(Reason.OTHER_FORM, str(refused)) from None


def _by_score(sort: object) -> bool:
    """Tell whether a body's sort is the default one, `_score` descending, which shows no sort values."""
    if isinstance(sort, list):
        return not sort or (len(sort) == 1 and not isinstance(sort[0], list) and _by_score(sort[0]))
    if isinstance(sort, Mapping) and list(sort) == ["_score"]:
        order = sort["_score"]
        if isinstance(order, Mapping):
            order = order.get("order", "desc") if set(order) <= {"order"} else None
        return isinstance(order, str) and order.lower() == "desc"
    return sort == "_score"


def _by_score_in_url(sort: str) -> bool:
    return sort == "_score" or (sort.lower() == "_score:desc" and sort.startswith("_score"))


def _page(search: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[int, int]:
    """Read the requested page as OpenSearch does: the first 10 hits by default."""
    start, size = _whole(search, params, "from", 0), _whole(search, params, "size", 10)
    if size == 0:
        raise _NotRerankable(Reason.NO_HITS, "size is 0: there are no hits to rerank")
    return start, size


def _whole(search: Mapping[str, Any], params: Mapping[str, Any], key: str, default: int) -> int:
    """Read a whole number from 0 on. OpenSearch accepts `"10"` and `10.0` in a body, too, and cuts 2.7 to 2."""
    value = params[key] if key in params else search.get(key, default)
    # Python also reads 1_0 and " 10 " as 10.
    is_number = value.isascii() and value.isdigit() if isinstance(value, str) else not isinstance(value, bool)
    try:
        number = int(value) if is_number else -1
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < 0:
        raise _NotRerankable(Reason.MALFORMED, f"{key} is not a whole number from 0 on")
    return number


def _query_of(search: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Find the text to rerank by: as `ext.rerank` names it, or derived from the query, which `?q=` overrides."""
    ext = search.get("ext")
    ours = ext.get("rerank") if isinstance(ext, Mapping) else None
    if isinstance(ours, Mapping) and "query_context" not in ours:
        ours = None  # it requests reranking, and leaves the text to the query
    if ours is not None:
        try:
            text = named_text(search, ours, str(params["q"]) if "q" in params else None)
        except WrongExt as wrong:
            raise _NotRerankable(Reason.MALFORMED, str(wrong)) from None
    elif "q" in params:
        text = without_operators(str(params["q"]))
    else:
        text = query_text(search.get("query"))
    if not text.strip():
        raise _NotRerankable(
            Reason.NO_QUERY_TEXT, "no query text found; name it in ext.rerank.query_context.query_text"
        )
    # No tokenizer accepts half a surrogate pair.
    return _SURROGATE.sub("\ufffd", text[:MAX_QUERY])
