"""Additions to a search response: the true `took`, and on request an account of the reranking. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.opensearch import raw_json


def explained(
    body: bytes, *, took: int | None, account: Mapping[str, Any] | None = None, hits: Sequence[Mapping[str, Any]] = ()
) -> bytes:
    """Write a response with `took` (milliseconds) replaced, `account` under `ext.rerank`, and `_rerank` in each hit.

    `hits` are for the first hits of the page, in order. All else keeps its bytes, and so does what is no JSON object.
    """
    try:
        top = raw_json.members(raw_json.escape_surrogates(body))
    except raw_json.Malformed:
        return body
    if took is not None and "took" in top:
        top["took"] = msgspec.Raw(b"%d" % took)
    if hits:
        found = raw_json.members(top["hits"])
        listed = [bytes(hit) for hit in raw_json.elements(found["hits"])]
        for place, said in enumerate(hits):
            told = {"_rerank": msgspec.Raw(msgspec.json.encode(said))}
            listed[place] = raw_json.joined(raw_json.members(listed[place]) | told)
        found["hits"] = msgspec.Raw(b"[" + b",".join(listed) + b"]")
        top["hits"] = msgspec.Raw(raw_json.joined(found))
    if account is not None:
        ext = raw_json.members(top["ext"]) if "ext" in top else {}
        ext["rerank"] = msgspec.Raw(msgspec.json.encode(account))
        top["ext"] = msgspec.Raw(raw_json.joined(ext))
    return raw_json.restore_surrogates(raw_json.joined(top))
