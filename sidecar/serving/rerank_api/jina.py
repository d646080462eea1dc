"""Jina's rerank. Source: https://api.jina.ai/redoc, the rerank endpoint."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.document import Document, passages_of, shown
from sidecar.serving.rerank_api.problem import Fault, Problem


class QueryText(BaseModel):
    """A query as an object; its other fields are ignored."""

    model_config = ConfigDict(extra="allow", frozen=True)

    text: str


class Jina(ParsedRequest):
    """The body: the query and each document are a string, or an object with `text`."""

    query: str | QueryText
    documents: list[Document]
    top_n: int | None = Field(None, ge=1)
    return_documents: bool = True


def query_text(query: str | QueryText) -> str:
    """Return the query's text."""
    return query if isinstance(query, str) else query.text


def _tell(status: int, problem: Problem) -> dict[str, str]:
    del status
    return {"detail": problem.message}


def _read(body: Jina, fields: PassageFields) -> Question:
    return Question([query_text(body.query)], passages_of(body.documents, fields), body.model)


def _write(body: Jina, answer: RankedDocuments) -> object:
    results = [
        {"index": one.index}
        | ({"document": shown(body.documents[one.index])} if body.return_documents else {})
        | {"relevance_score": one.probability}
        for one in answer.best(body.top_n)
    ]
    return {"model": answer.model, **answer.usage, "results": results}


JINA = Dialect("jina", _tell, {Fault.EMPTY: 422, Fault.TOO_LARGE: 422})
RERANK = Operation(
    JINA,
    Jina,
    _read,
    _write,
    {"query": "how long do fleas live", "documents": ["A flea lives for 100 days.", {"text": "Dogs bark."}]},
)
