"""The paths that several vendors share: one body and one answer that the clients of Cohere, Jina and vLLM all accept.

OpenSearch's own `rerank` processor can call them, too.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import Field

from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.cohere import CohereDemands, cut_warnings, meta, spans_of
from sidecar.serving.rerank_api.dialect import Demands, Dialect, Operation, Question, RankedDocuments
from sidecar.serving.rerank_api.document import Document, passages_of, shown
from sidecar.serving.rerank_api.jina import QueryText, query_text
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.rerank_api.vllm import ACTIVATION, openai_error


class SharedDemands(CohereDemands):
    """The demands of a body of a shared path, beside its texts; a `top_n` of 0 means all."""

    top_n: int | None = Field(None, ge=0)
    rank_fields: list[str] | None = None
    truncate_prompt_tokens: int | None = Field(None, ge=-1)

    @property
    def demands(self) -> Demands:
        """Return what the request demands beside its texts."""
        return replace(super().demands, pair_tokens=self.truncate_prompt_tokens)


class Neutral(SharedDemands):
    """The superset of the bodies; documents are returned only if that is requested."""

    query: str | QueryText
    documents: list[Document]
    return_documents: bool = False
    raw_scores: bool = False
    use_activation: bool | None = ACTIVATION
    max_chunks_per_doc: int | None = None

    @property
    def wants_logits(self) -> bool:
        """True if the results have the model's own scores: by Infinity's key, or by vLLM's."""
        return self.raw_scores or self.use_activation is False


def _tell(status: int, problem: Problem) -> dict[str, Any]:
    return {"message": problem.message, "detail": problem.message, "error": openai_error(status, problem)}


def _read(body: Neutral, fields: PassageFields) -> Question:
    if body.raw_scores and body.use_activation:
        words = "raw_scores and use_activation contradict each other: give one of them"
        raise Problem(Fault.INVALID, words, param="use_activation")
    return Question([query_text(body.query)], passages_of(body.documents, fields, body.rank_fields), body.model)


def _write(body: Neutral, answer: RankedDocuments, *, version: str) -> object:
    results = [
        {"index": one.index}
        | ({"document": shown(body.documents[one.index])} if body.return_documents else {})
        | {"relevance_score": one.logit if body.wants_logits else one.probability}
        | spans_of(answer, one.index)
        for one in answer.best(body.top_n)
    ]
    warnings = cut_warnings(answer, body.max_chunks_per_doc)
    said: dict[str, Any] = {"calibrated": answer.calibrated}
    said |= {"dropped": answer.dropped} if body.min_relevance else {}
    said |= {} if answer.stage_two is None else {"stage": answer.stage_two.stage}
    return {
        "id": answer.identity,
        "model": answer.model,
        "results": results,
        **answer.usage,
        "meta": meta(version, len(body.documents), answer, warnings) | said,
    }


NEUTRAL = Dialect("neutral", _tell)
_EXAMPLE = {
    "query": "how long do fleas live",
    "documents": ["Dogs bark.", {"title": "Flea", "text": "A flea lives for 100 days."}],
    "top_n": 1,
}
RERANK_V1 = Operation(NEUTRAL, Neutral, _read, partial(_write, version="1"), _EXAMPLE)
RERANK_V2 = Operation(NEUTRAL, Neutral, _read, partial(_write, version="2"), _EXAMPLE)
