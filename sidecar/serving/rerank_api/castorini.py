"""Candidates in castorini's shape, as in Anserini's, Pyserini's and RankLLM's files, returned in their new order."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.document import Document, passages_of
from sidecar.serving.rerank_api.jina import QueryText, query_text
from sidecar.serving.rerank_api.neutral import NEUTRAL


class Candidate(BaseModel):
    """One candidate: `doc` is a stored document; its other fields are returned unchanged."""

    model_config = ConfigDict(extra="allow", frozen=True)

    docid: str | int
    doc: Document


class CandidateList(ParsedRequest):
    """The body: a query with its candidates."""

    query: str | QueryText
    candidates: list[Candidate]
    top_n: int | None = Field(None, ge=0)


def _read(body: CandidateList, fields: PassageFields) -> Question:
    passages = passages_of([one.doc for one in body.candidates], fields, at="candidates.{}.doc")
    return Question([query_text(body.query)], passages, body.model, param="candidates")


def _write(body: CandidateList, answer: RankedDocuments) -> object:
    ranked: list[dict[str, Any]] = [
        body.candidates[one.index].model_dump() | {"score": one.logit} for one in answer.best(body.top_n)
    ]
    query = body.query if isinstance(body.query, str) else body.query.model_dump()
    return {"query": query, "candidates": ranked, "model": answer.model}


RERANK = Operation(
    NEUTRAL,
    CandidateList,
    _read,
    _write,
    {
        "query": {"qid": "1", "text": "how long do fleas live"},
        "candidates": [{"docid": "d1", "score": 7.1, "doc": {"contents": "A flea lives for 100 days."}}],
    },
)
