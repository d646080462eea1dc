"""The hits of a Lucene index before and after reranking, and the JSON that Pyserini's own server makes of them.

No I/O and no JVM.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

# Fields that Anserini leaves out of a document, since a hit has its docid beside it.
_IDS = {"id", "_id", "docid"}


@dataclass(frozen=True, slots=True)
class LuceneHit:
    """One hit of the first stage, with the two stored fields that may hold a document's text (None: not stored).

    `sent_doc` is the document's JSON as a server sent it.
    """

    docid: str
    score: float
    lucene_docid: int
    raw: str | None
    contents: str | None = None
    sent_doc: bytes | None = None


@dataclass(frozen=True, slots=True)
class RerankedHit:
    """One hit of the final list, with the attributes of Pyserini's hits and those that reranking adds.

    `score` orders the list and never rises along it; `first_stage_rank` counts from 1; `rerank_score` is the model's
    raw score, None if the passage was not scored. `sent_doc` is the document's JSON as a server sent it.
    """

    docid: str
    score: float
    lucene_docid: int
    raw: str | None
    first_stage_score: float
    first_stage_rank: int
    rerank_score: float | None
    sent_doc: bytes | None = None


def rest_response(index: str, query: str, hits: Sequence[LuceneHit | RerankedHit]) -> dict[str, object]:
    """Return the answer of `GET /v1/{index}/search?query=…&parse=true` of Pyserini 2.x, ready for msgspec's encoder.

    `doc` is the server's, else made of the stored document as Anserini makes it (`CliUtils.formatDocument`).
    """
    candidates = [
        {"docid": hit.docid, "score": hit.score, "rank": rank, "doc": _doc(hit)}
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
    # A line break between the tokens would break the line of the file.
    return b" ".join(raw.splitlines())


def _doc(hit: LuceneHit | RerankedHit) -> object:
    """Return a parsed document without its ids, plain values as text, a lone field as its value; else the text."""
    if hit.sent_doc is not None:
        return msgspec.Raw(hit.sent_doc)
    if hit.raw is None:
        return None
    try:
        stored = json.loads(hit.raw)
    except (ValueError, RecursionError):
        return hit.raw
    if not isinstance(stored, dict):
        return stored
    kept = {name: _as_text(value) for name, value in stored.items() if name not in _IDS}
    return next(iter(kept.values())) if len(kept) == 1 else kept


def _as_text(value: object) -> object:
    return value if isinstance(value, str | dict | list) else json.dumps(value)
