"""What OpenSearch computes for each hit, asked for the page alone: highlights and script fields. Pure.

The window is then searched without them; once its order is known, the page's hits are asked for once more, whole, by
their ids. All that is not a hit comes from the first answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.opensearch import splice

# Dear for each hit, and no part of it needed to rerank. A long _source is not among them: to filter it takes OpenSearch
# longer than to send it (docs/EXPERIMENTS.md).
PER_HIT = ("highlight", "script_fields")
# Where these are, a hit depends on the whole search, or would tell of the ids that were asked for.
_WHOLE = ("collapse", "explain", "min_score", "profile", "rescore", "search_pipeline", "terminate_after")
# What the first answer holds and the second need not.
_ONCE = ("aggregations", "aggs", "suggest", "track_total_hits")

Key = tuple[bytes, bytes]


class _Identity(msgspec.Struct, rename={"index": "_index", "docid": "_id"}):
    index: msgspec.Raw = msgspec.Raw()
    docid: msgspec.Raw = msgspec.Raw()


def worthwhile(search: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Tell whether a search asks for what its page alone needs, and its hits can be asked for once more."""
    query = search.get("query")
    return (
        any(name in search for name in PER_HIT)
        and isinstance(query, Mapping)
        and "hybrid" not in query
        and not any(name in search or name in params for name in (*_WHOLE, "q"))
        # It would highlight the ids.
        and "'require_field_match': False" not in str(search.get("highlight"))
    )


def lean(body: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The search without what only the page needs."""
    # Where a search asks for script fields, OpenSearch shows no _source but by request.
    hidden = {"_source": msgspec.Raw(b"false")} if "script_fields" in body and "_source" not in body else {}
    return {name: value for name, value in body.items() if name not in PER_HIT} | hidden


def page(body: bytes, hits: Sequence[msgspec.Raw]) -> bytes:
    """The search for these hits alone: its own query, filtered by their ids."""
    search = splice.members(splice.veiled(body))
    keys = [_key(hit) for hit in hits]
    indexes = dict.fromkeys(index for index, _ in keys)
    every = [_ids(index, [docid for other, docid in keys if other == index]) for index in indexes]
    query = b'{"bool":{"must":[%s],"filter":[{"bool":{"should":[%s]}}]}}' % (bytes(search["query"]), b",".join(every))
    kept = {name: value for name, value in search.items() if name not in _ONCE}
    kept |= {"query": msgspec.Raw(query), "from": msgspec.Raw(b"0"), "size": msgspec.Raw(b"%d" % len(hits))}
    return splice.unveiled(splice.joined({**kept, "track_total_hits": msgspec.Raw(b"false")}))


def merged(hits: Iterable[msgspec.Raw], whole: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    """Put the whole hits in the places of the lean ones; what was deleted meanwhile stays lean."""
    found = {_key(hit): hit for hit in whole}
    return [found.get(_key(hit), hit) for hit in hits]


def params(given: Mapping[str, Any]) -> dict[str, Any]:
    """The URL's parameters for the second search: what counts the hits is the first one's."""
    return {name: value for name, value in given.items() if name not in {"track_total_hits", "rest_total_hits_as_int"}}


def _ids(index: bytes, docids: Sequence[bytes]) -> bytes:
    return b'{"bool":{"filter":[{"term":{"_index":%s}},{"ids":{"values":[%s]}}]}}' % (index, b",".join(docids))


def _key(hit: msgspec.Raw) -> Key:
    identity = msgspec.json.decode(hit, type=_Identity)
    return bytes(identity.index), bytes(identity.docid)
