"""The hits of a Lucene index before and after reranking, and the JSON that Pyserini's own server makes of them.

Pure: no JVM in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from sidecar.documents import json_object


@dataclass(frozen=True, slots=True)
class LuceneHit:
    """One hit of the first stage, with the two stored fields a document's text may be in (None: not stored)."""

    docid: str
    score: float
    lucene_docid: int
    raw: str | None
    contents: str | None = None


@dataclass(frozen=True, slots=True)
class RerankedHit:
    """One hit of the final list, with the attributes Pyserini's users know and what reranking added.

    `score` orders the list and never rises along it; `first_stage_rank` counts from 1; `rerank_score` is the model's
    raw score, None where the passage was not scored.
    """

    docid: str
    score: float
    lucene_docid: int
    raw: str | None
    first_stage_score: float
    first_stage_rank: int
    rerank_score: float | None


def rest_response(index: str, query: str, hits: Sequence[LuceneHit | RerankedHit]) -> dict[str, object]:
    """Return what `GET /v1/{index}/search?query=…&parse=true` of Pyserini 2.x answers, ready for a JSON encoder.

    `doc` is the stored document, parsed if it is a JSON object, as it stands if not, null if none is stored.
    """
    candidates = [
        {"docid": hit.docid, "score": hit.score, "rank": rank, "doc": _stored(hit.raw)}
        for rank, hit in enumerate(hits, start=1)
    ]
    return {"api": "v1", "index": index, "query": {"text": query}, "candidates": candidates}


def document_line(hit: LuceneHit) -> bytes:
    """Return the stored document as one line of JSON: itself if it is an object, as a string if not, null if none."""
    raw = (hit.raw or "").encode("utf-8", "replace")
    try:
        msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        stored = hit.raw if hit.raw is not None else hit.contents
        return msgspec.json.encode(None if stored is None else stored.encode("utf-8", "replace").decode())
    # A line end between the tokens would be one of the file.
    return b" ".join(raw.splitlines())


def _stored(raw: str | None) -> object:
    if raw is None:
        return None
    record = json_object(raw)
    return raw if record is None else record
