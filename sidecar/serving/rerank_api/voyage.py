"""Voyage's rerank. Source: https://docs.voyageai.com/reference/reranker-api."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import Demands, Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.problem import Fault, Problem


class Voyage(ParsedRequest):
    """The body. A document that is too long is cut at its end unless `truncation` is false."""

    query: str
    documents: list[str]
    top_k: int | None = Field(None, ge=1)
    return_documents: bool = False
    truncation: bool = True

    @property
    def demands(self) -> Demands:
        """Return what the request demands beside its texts."""
        return replace(super().demands, whole=not self.truncation)


def _tell(status: int, problem: Problem) -> dict[str, str]:
    del status
    return {"detail": problem.message}


def _read(body: Voyage, fields: PassageFields) -> Question:
    del fields
    return Question([body.query], [Passage("", text) for text in body.documents], body.model)


def _write(body: Voyage, answer: RankedDocuments) -> object:
    data = [
        {"relevance_score": one.probability, "index": one.index}
        | ({"document": body.documents[one.index]} if body.return_documents else {})
        for one in answer.best(body.top_k)
    ]
    # Voyage's own client reads the key: unknown tokens are null.
    return {"object": "list", "data": data, "model": answer.model, "usage": {"total_tokens": answer.tokens}}


VOYAGE = Dialect("voyage", _tell, {Fault.INVALID: 400, Fault.TOO_LARGE: 400})
RERANK = Operation(
    VOYAGE,
    Voyage,
    _read,
    _write,
    {"query": "how long do fleas live", "documents": ["A flea lives for 100 days.", "Dogs bark."], "top_k": 1},
)
