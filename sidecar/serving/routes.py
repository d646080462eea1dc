"""Which requests are ours to look at, told by method and raw path alone. Pure.

Only raw paths are compared, as OpenSearch itself routes them, so encoded names (`%3Clogs-%7Bnow%2Fd%7D%3E`) are names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_to_bytes

RESERVED = b"/_sidecar"
# POSTs that only read; all that a search client sends.
_READING = {
    b"_search", b"_msearch", b"_count", b"_mget", b"_explain", b"_field_caps", b"_termvectors", b"_mtermvectors",
    b"_analyze", b"_rank_eval", b"_search_shards", b"_knn_search", b"_ppl", b"_sql", b"_percolate",
}  # fmt: skip
_READING_TAILS = (b"/_search/scroll", b"/_search/template", b"/_msearch/template", b"/_search/point_in_time",
                  b"/_validate/query", b"/_render/template", b"/_asynchronous_search", b"/_async_search")  # fmt: skip
# What writes though it may be asked for by GET.
_WRITING_GETS = {b"_refresh", b"_flush", b"_forcemerge", b"_cache", b"_upgrade"}


class Kind(StrEnum):
    """What a request is to the proxy."""

    SEARCH = "search"
    MSEARCH = "msearch"
    OURS = "ours"
    OTHER = "other"


class PassThrough(StrEnum):
    """How much of OpenSearch can be reached through the proxy."""

    ALL = "all"
    READ_ONLY = "read-only"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Route:
    """A request's kind, and for a search the index expression of its path, decoded ("" for all)."""

    kind: Kind
    index: str = ""


def route(method: str, raw_path: bytes) -> Route:
    """Tell what a request is. A path with an empty or dotted segment is never ours to rewrite."""
    if raw_path == RESERVED or raw_path.startswith(RESERVED + b"/"):
        return Route(Kind.OURS)
    head, _, last = raw_path.rpartition(b"/")
    kind = {b"_search": Kind.SEARCH, b"_msearch": Kind.MSEARCH}.get(last)
    if kind is None or method not in {"GET", "POST"} or head.count(b"/") > 1 or head == b"/":
        return Route(Kind.OTHER)
    index = head.removeprefix(b"/")
    # `/_plugins/_search` or `/_nodes/_search` are no searches of an index; `_all` is.
    if (index.startswith(b"_") and index != b"_all") or index in {b".", b".."}:
        return Route(Kind.OTHER)
    return Route(kind, unquote_to_bytes(index).decode("utf-8", "replace"))


def passes(method: str, raw_path: bytes, allowed: PassThrough) -> bool:
    """Whether a request that is not ours may reach OpenSearch."""
    if allowed is PassThrough.ALL:
        return True
    segments = raw_path.split(b"/")
    if any(segment in {b".", b".."} for segment in segments):
        return False
    reads = segments[-1] in _READING or raw_path.endswith(_READING_TAILS)
    if allowed is PassThrough.SEARCH:
        return method in {"GET", "POST"} and segments[-1] in {b"_search", b"_msearch", b"_count"}
    if method in {"GET", "HEAD"}:
        return not _WRITING_GETS & set(segments)
    return (method == "POST" and reads) or (method == "DELETE" and raw_path.endswith(b"/_search/scroll"))
