"""vLLM's rerank and score. Source: https://docs.vllm.ai, "Re-rank API" and "Score API"."""

from __future__ import annotations

import time
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from pydantic import AliasChoices, Field

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.cohere import MOST_PRIORITY
from sidecar.serving.rerank_api.dialect import (
    Demands,
    Dialect,
    Operation,
    ParsedRequest,
    Question,
    RankedDocuments,
    Scored,
)
from sidecar.serving.rerank_api.document import Document, passages_of, text_shown
from sidecar.serving.rerank_api.problem import Fault, Problem

ACTIVATION: Any = Field(None, validation_alias=AliasChoices("use_activation", "activation"))


class _Vllm(ParsedRequest):
    truncate_prompt_tokens: int | None = Field(None, ge=-1)
    priority: int = Field(0, ge=0, le=MOST_PRIORITY)
    use_activation: bool | None = ACTIVATION

    @property
    def demands(self) -> Demands:
        """Return what the request demands beside its texts."""
        return replace(super().demands, pair_tokens=self.truncate_prompt_tokens, priority=self.priority)

    def value(self, one: Scored) -> float:
        """Return the probability, or the logit if the request turns activation off."""
        return one.logit if self.use_activation is False else one.probability


class VllmRerank(_Vllm):
    """The body of `/rerank`; a `top_n` of 0 means all."""

    query: str
    documents: list[Document]
    top_n: int = 0


class VllmScore(_Vllm):
    """The body of `/score`: one text against many, or as many against as many."""

    text_1: str | list[str] = Field(validation_alias=AliasChoices("text_1", "queries", "data_1"))
    text_2: str | list[str] = Field(validation_alias=AliasChoices("text_2", "documents", "items", "data_2"))


_TYPES = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 500: "InternalServerError"}


def openai_error(status: int, problem: Problem) -> dict[str, object]:
    """Return the error object of OpenAI's API."""
    kind = _TYPES.get(status) or HTTPStatus(status).phrase.title().replace(" ", "") + "Error"
    return {"message": problem.message, "type": kind, "param": problem.param, "code": status}


def _tell(status: int, problem: Problem) -> dict[str, object]:
    return {"error": openai_error(status, problem)}


def _read_rerank(body: VllmRerank, fields: PassageFields) -> Question:
    return Question([body.query], passages_of(body.documents, fields), body.model)


def _write_rerank(body: VllmRerank, answer: RankedDocuments) -> object:
    results = [
        {
            "index": one.index,
            "document": {"text": text_shown(body.documents[one.index], answer.passages[one.index])},
            "relevance_score": body.value(one),
        }
        for one in answer.best(max(body.top_n, 0))
    ]
    return {"id": f"rerank-{answer.identity}", "model": answer.model, **answer.usage, "results": results}


def _read_score(body: VllmScore, fields: PassageFields) -> Question:
    del fields
    if body.listwise:
        words = "listwise: scores come in the request's order, which stage two can't change; use /rerank"
        raise Problem(Fault.INVALID, words, param="listwise")
    queries = [body.text_1] if isinstance(body.text_1, str) else body.text_1
    texts = [body.text_2] if isinstance(body.text_2, str) else body.text_2
    if not queries or len(queries) not in {1, len(texts)}:
        counts = f"text_1 has {len(queries)} texts and text_2 has {len(texts)}"
        raise Problem(Fault.INVALID, f"{counts}: give one in text_1, or as many as in text_2", param="text_1")
    return Question(queries, [Passage("", text) for text in texts], body.model, param="text_2")


def _write_score(body: VllmScore, answer: RankedDocuments) -> object:
    return {
        "id": f"score-{answer.identity}",
        "object": "list",
        "created": int(time.time()),
        "model": answer.model,
        "data": [{"index": one.index, "object": "score", "score": body.value(one)} for one in answer.scored],
        **answer.usage,
    }


VLLM = Dialect("vllm", _tell, {Fault.INVALID: 400, Fault.TOO_LARGE: 400})
RERANK = Operation(
    VLLM,
    VllmRerank,
    _read_rerank,
    _write_rerank,
    {"query": "how long do fleas live", "documents": ["A flea lives for 100 days.", "Dogs bark."], "top_n": 0},
)
SCORE = Operation(
    VLLM,
    VllmScore,
    _read_score,
    _write_score,
    {"text_1": "how long do fleas live", "text_2": ["A flea lives for 100 days.", "Dogs bark."]},
)
