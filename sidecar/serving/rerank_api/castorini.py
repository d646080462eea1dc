"""Candidates in castorini's shape, as in Anserini's, Pyserini's and RankLLM's files, returned in their new order."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr

from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.cohere import spans_of
from sidecar.serving.rerank_api.dialect import Operation, Question, RankedDocuments
from sidecar.serving.rerank_api.document import Document, passages_of
from sidecar.serving.rerank_api.jina import QueryText, query_text
from sidecar.serving.rerank_api.neutral import NEUTRAL, SharedDemands


class Candidate(BaseModel):
    """One candidate: `doc` is a stored document; its other fields are returned unchanged."""

    model_config = ConfigDict(extra="allow", frozen=True)

    docid: StrictStr | StrictInt
    doc: Document


class CandidateList(SharedDemands):
    """The body: a query with its candidates."""

    query: str | QueryText
    candidates: list[Candidate]


def _read(body: CandidateList, fields: PassageFields) -> Question:
    passages = passages_of([one.doc for one in body.candidates], fields, body.rank_fields, at="candidates.{}.doc")
    return Question([query_text(body.query)], passages, body.model, param="candidates")


def _write(body: CandidateList, answer: RankedDocuments) -> object:
    ranked: list[dict[str, Any]] = [
        body.candidates[one.index].model_dump() | {"score": one.logit} | spans_of(answer, one.index)
        for one in answer.best(body.top_n)
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
