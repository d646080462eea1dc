"""Highlights and script fields, which OpenSearch computes for each hit, asked for the page alone. Pure.

The window is then searched without them; once its order is known, the page's hits are asked for once more, whole. A hit
is known by its index, its id and its routing, for documents of one index may share an id. All that is not a hit comes
from the first answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.opensearch import raw_json

# Dear for each hit, and no part of it needed to rerank. A long _source is not among them: to filter it takes OpenSearch
# longer than to send it (docs/EXPERIMENTS.md).
PER_HIT = ("highlight", "script_fields")
# Where these are, a hit depends on the whole search, or would tell of the ids that were asked for.
_WHOLE = ("collapse", "explain", "min_score", "profile", "rescore", "search_pipeline", "terminate_after")
# What the first answer holds and the second need not.
_ONCE = ("aggregations", "aggs", "suggest", "track_total_hits")

# Index, id and routing, as JSON; the last is empty where a document has none of its own.
Key = tuple[bytes, bytes, bytes]


class _Identity(msgspec.Struct, rename={"index": "_index", "docid": "_id", "routing": "_routing", "score": "_score"}):
    index: msgspec.Raw = msgspec.Raw()
    docid: msgspec.Raw = msgspec.Raw()
    routing: msgspec.Raw = msgspec.Raw()
    score: msgspec.Raw = msgspec.Raw()


def worthwhile(search: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Tell whether a search asks for what its page alone needs, and its hits can be asked for once more."""
    query = search.get("query")
    return (
        any(name in search for name in PER_HIT)
        and isinstance(query, Mapping)
        and "hybrid" not in query
        and not any(name in search or name in params for name in (*_WHOLE, "q"))
        and not _highlights_across_fields(search.get("highlight"))
    )


def lean(body: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The search without what only the page needs."""
    # Where a search asks for script fields, OpenSearch shows no _source but by request.
    hidden = {"_source": msgspec.Raw(b"false")} if "script_fields" in body and "_source" not in body else {}
    return {name: value for name, value in body.items() if name not in PER_HIT} | hidden


def page(body: bytes, hits: Sequence[msgspec.Raw]) -> bytes:
    """The search for these hits alone: its own query, filtered by their keys. No two of them may share one."""
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
    """Tell whether no two hits have one key, so that each can be asked for alone."""
    return len({_key(hit) for hit in hits}) == len(hits)


def are_among(hits: Iterable[msgspec.Raw], found: Iterable[msgspec.Raw]) -> bool:
    """Tell whether each hit was found again."""
    return {_key(hit) for hit in hits} <= {_key(hit) for hit in found}


def merged(hits: Sequence[msgspec.Raw], whole: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Put the whole hits in the places of the lean ones; what was deleted meanwhile stays lean.

    Hits that share a key are told apart by their places, if nothing moved; else they stay lean, for one must never
    stand in for another.
    """
    places, whole_places = [_place(hit) for hit in hits], [_place(hit) for hit in whole]
    if places == whole_places:
        return list(whole)
    times = Counter(key for key, _ in places)
    found = {key: hit for (key, _), hit in zip(whole_places, whole, strict=True)}
    return [found.get(key, hit) if times[key] == 1 else hit for (key, _), hit in zip(places, hits, strict=True)]


def params(given: Mapping[str, Any]) -> dict[str, Any]:
    """The URL's parameters for the second search: what counts the hits is the first one's."""
    return {name: value for name, value in given.items() if name not in {"track_total_hits", "rest_total_hits_as_int"}}


def _highlights_across_fields(highlight: Any) -> bool:
    """Tell whether a highlight shows matches of other fields than its own: it would show the ids, too."""
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
