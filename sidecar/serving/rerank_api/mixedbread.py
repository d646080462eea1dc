"""Mixedbread's reranking. Source: https://www.mixedbread.com/api-reference, the reranking endpoint."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.document import Document, passages_of
from sidecar.serving.rerank_api.problem import Fault, Problem


class Mixedbread(ParsedRequest):
    """The body: documents are strings, or objects of which `rank_fields` are read."""

    query: str
    input: list[Document]
    rank_fields: list[str] | None = None
    top_k: int | None = Field(None, ge=1)
    return_input: bool = False
    rewrite_query: bool = False


def _tell(status: int, problem: Problem) -> dict[str, str]:
    del status
    return {"detail": problem.message}


def _read(body: Mixedbread, fields: PassageFields) -> Question:
    if body.rewrite_query:
        raise Problem(Fault.INVALID, "queries are not rewritten here", param="rewrite_query")
    passages = passages_of(body.input, fields, body.rank_fields, at="input.{}")
    return Question([body.query], passages, body.model, param="input")


def _write(body: Mixedbread, answer: RankedDocuments) -> object:
    data: list[dict[str, Any]] = [
        {
            "index": one.index,
            "score": one.probability,
            "input": body.input[one.index] if body.return_input else None,
            "object": "rank_result",
        }
        for one in answer.best(body.top_k)
    ]
    return {
        # Mixedbread's schema requires the keys: unknown tokens are null.
        "usage": {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens, "completion_tokens": 0},
        "model": answer.model,
        "data": data,
        "object": "list",
        "top_k": len(data) if body.top_k is None else body.top_k,
        "return_input": body.return_input,
    }


MIXEDBREAD = Dialect("mixedbread", _tell, {Fault.EMPTY: 422, Fault.TOO_LARGE: 422})
RERANK = Operation(
    MIXEDBREAD,
    Mixedbread,
    _read,
    _write,
    {"query": "how long do fleas live", "input": ["A flea lives for 100 days.", "Dogs bark."], "top_k": 1},
)
