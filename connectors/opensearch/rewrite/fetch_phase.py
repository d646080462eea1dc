"""Requests what OpenSearch's fetch phase computes for each hit (highlights, script fields) for the page alone. No I/O.

The window is searched without these; once its order is known, a second search fetches the page's hits whole. A hit is
identified by its index, its id and its routing, because documents of one index may share an id. Everything but the hits
comes from the first answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.opensearch import raw_json

# Expensive for each hit, and not needed for reranking. A long _source is not among them: filtering it takes OpenSearch
# longer than sending it (docs/EXPERIMENTS.md).
PER_HIT = ("highlight", "script_fields")
# With one of these a hit depends on the whole search, or would show the ids of the second search.
_WHOLE = ("collapse", "explain", "min_score", "profile", "rescore", "search_pipeline", "terminate_after")
# Members that the first answer covers, so the second search leaves them out.
_ONCE = ("aggregations", "aggs", "suggest", "track_total_hits")

# Index, id and routing, as JSON; the last is empty where a document has none of its own.
Key = tuple[bytes, bytes, bytes]


class _Identity(msgspec.Struct, rename={"index": "_index", "docid": "_id", "routing": "_routing", "score": "_score"}):
    index: msgspec.Raw = msgspec.Raw()
    docid: msgspec.Raw = msgspec.Raw()
    routing: msgspec.Raw = msgspec.Raw()
    score: msgspec.Raw = msgspec.Raw()


def worthwhile(search: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Tell whether a search requests what only its page needs, and its hits can be fetched by a second search."""
    query = search.get("query")
    return (
        any(name in search for name in PER_HIT)
        and isinstance(query, Mapping)
        and "hybrid" not in query
        and not any(name in search or name in params for name in (*_WHOLE, "q"))
        and not _highlights_across_fields(search.get("highlight"))
    )


def lean(body: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Leave out of a search what only the page needs."""
    # If a search requests script fields, OpenSearch shows no _source unless that is requested, too.
    hidden = {"_source": msgspec.Raw(b"false")} if "script_fields" in body and "_source" not in body else {}
    return {name: value for name, value in body.items() if name not in PER_HIT} | hidden


def page(body: bytes, hits: Sequence[msgspec.Raw]) -> bytes:
    """Write the search for these hits alone: its own query, filtered by their keys, which must be distinct."""
    search = raw_json.members(raw_json.escape_surrogates(body))
    groups: dict[tuple[bytes, bytes], list[bytes]] = {}
    for index, docid, routing in map(_key, hits):
        groups.setdefault((index, routing), []).append(docid)
    every = [_group(index, routing, docids) for (index, routing), docids in groups.items()]
    query = b'{"bool":{"must":[%s],"filter":[{"bool":{"should":[%s]}}]}}' % (bytes(search["query"]), b",".join(every))
    kept = {name: value for name, value in search.items() if name not in _ONCE}
    kept |= {"query": msgspec.Raw(query), "from": msgspec.Raw(b"0"), "size": msgspec.Raw(b"%d" % len(hits))}
    return raw_json.restore_surrogates(raw_json.joined({**kept, "track_total_hits": msgspec.Raw(b"false")}))


def are_distinct(hits: Sequence[msgspec.Raw]) -> bool:
    """Tell whether no two hits share a key, so that each can be fetched alone."""
    return len({_key(hit) for hit in hits}) == len(hits)


def are_among(hits: Iterable[msgspec.Raw], found: Iterable[msgspec.Raw]) -> bool:
    """Tell whether each hit was found again."""
    return {_key(hit) for hit in hits} <= {_key(hit) for hit in found}


def merged(hits: Sequence[msgspec.Raw], whole: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Put the whole hits in the places of the lean ones; hits that were deleted meanwhile stay lean.

    Hits that share a key are told apart by their places, if none moved; else they stay lean, because one must never
    replace another.
    """
    places, whole_places = [_place(hit) for hit in hits], [_place(hit) for hit in whole]
    if places == whole_places:
        return list(whole)
    times = Counter(key for key, _ in places)
    found = {key: hit for (key, _), hit in zip(whole_places, whole, strict=True)}
    return [found.get(key, hit) if times[key] == 1 else hit for (key, _), hit in zip(places, hits, strict=True)]


def params(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the URL's parameters for the second search; only the first one counts the hits."""
    return {name: value for name, value in given.items() if name not in {"track_total_hits", "rest_total_hits_as_int"}}


def _highlights_across_fields(highlight: Any) -> bool:
    """Tell whether a highlight shows matches of other fields than its own: then it would show the ids, too."""
    if isinstance(highlight, list):
        return any(map(_highlights_across_fields, highlight))
    if not isinstance(highlight, Mapping):
        return False
    return highlight.get("require_field_match", True) not in (True, "true") or any(
        map(_highlights_across_fields, highlight.values())
    )


def _group(index: bytes, routing: bytes, docids: Sequence[bytes]) -> bytes:
    """Write the filter for documents of one index and one routing."""
    routed = b'"filter":[{"term":{"_routing":%s}},' % routing
    by_routing = routed if routing else b'"must_not":[{"exists":{"field":"_routing"}}],"filter":['
    return b'{"bool":{%s{"term":{"_index":%s}},{"ids":{"values":[%s]}}]}}' % (by_routing, index, b",".join(docids))


def _key(hit: msgspec.Raw) -> Key:
    return _place(hit)[0]


def _place(hit: msgspec.Raw) -> tuple[Key, bytes]:
    """Return a hit's key and its score."""
    found = msgspec.json.decode(hit, type=_Identity)
    return (bytes(found.index), bytes(found.docid), bytes(found.routing)), bytes(found.score)
