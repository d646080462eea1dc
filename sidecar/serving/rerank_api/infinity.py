"""Infinity's rerank. Source: https://github.com/michaelfeil/infinity, the schema of its REST server."""

from __future__ import annotations

import time

from pydantic import Field

from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.document import Document, passages_of, text_shown
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.rerank_api.vllm import openai_error


class Infinity(ParsedRequest):
    """The body."""

    query: str
    documents: list[Document]
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = False
    raw_scores: bool = False


def _tell(status: int, problem: Problem) -> dict[str, object]:
    return {"error": openai_error(status, problem)}


def _read(body: Infinity, fields: PassageFields) -> Question:
    return Question([body.query], passages_of(body.documents, fields), body.model)


def _write(body: Infinity, answer: RankedDocuments) -> object:
    results = [
        {
            "relevance_score": one.logit if body.raw_scores else one.probability,
            "index": one.index,
            "document": _text(body, answer, one.index),
        }
        for one in answer.best(body.top_n)
    ]
    return {
        "object": "rerank",
        "results": results,
        "model": answer.model,
        **answer.usage,
        "id": f"infinity-{answer.identity}",
        "created": int(time.time()),
    }


def _text(body: Infinity, answer: RankedDocuments, index: int) -> str | None:
    return text_shown(body.documents[index], answer.passages[index]) if body.return_documents else None


INFINITY = Dialect("infinity", _tell, {Fault.EMPTY: 422, Fault.TOO_LARGE: 422})
RERANK = Operation(
    INFINITY,
    Infinity,
    _read,
    _write,
    {"query": "how long do fleas live", "documents": ["A flea lives for 100 days.", "Dogs bark."], "top_n": 1},
)
