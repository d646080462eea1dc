"""Additions to a search response: the true `took`, and on request an account of the reranking. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.opensearch import splice


def annotated(
    body: bytes, *, took: int | None, account: Mapping[str, Any] | None = None, hits: Sequence[Mapping[str, Any]] = ()
) -> bytes:
    """Write a response with `took` (milliseconds) replaced, `account` under `ext.rerank`, and `_rerank` in each hit.

    `hits` are for the first hits of the page, in order. All else keeps its bytes, and so does what is no JSON object.
    """
    try:
        top = splice.members(splice.veiled(body))
    except splice.Malformed:
        return body
    if took is not None and "took" in top:
        top["took"] = msgspec.Raw(b"%d" % took)
    if hits:
        found = splice.members(top["hits"])
        listed = [bytes(hit) for hit in splice.elements(found["hits"])]
        for place, said in enumerate(hits):
            told = {"_rerank": msgspec.Raw(msgspec.json.encode(said))}
            listed[place] = splice.joined(splice.members(listed[place]) | told)
        found["hits"] = msgspec.Raw(b"[" + b",".join(listed) + b"]")
        top["hits"] = msgspec.Raw(splice.joined(found))
    if account is not None:
        ext = splice.members(top["ext"]) if "ext" in top else {}
        ext["rerank"] = msgspec.Raw(msgspec.json.encode(account))
        top["ext"] = msgspec.Raw(splice.joined(ext))
    return splice.unveiled(splice.joined(top))
