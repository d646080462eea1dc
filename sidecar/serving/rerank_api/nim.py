"""NVIDIA NIM's ranking. Source: https://docs.nvidia.com/nim/nemo-retriever, the reranking NIM's API reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import Demands, Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.problem import Fault, Problem


class NimText(BaseModel):
    """A query or a passage."""

    text: str


class Nim(ParsedRequest):
    """The body; a passage that is too long is cut at its end, unless `truncate` is NONE."""

    query: NimText
    passages: list[NimText]
    truncate: Literal["NONE", "END"] | None = None

    @property
    def demands(self) -> Demands:
        """Return what the request demands beside its texts."""
        return replace(super().demands, whole=self.truncate == "NONE")


def _tell(status: int, problem: Problem) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "internal_server_error"
    return {"object": "error", "message": problem.message, "detail": {}, "type": kind}


def _read(body: Nim, fields: PassageFields) -> Question:
    del fields
    passages = [Passage("", passage.text) for passage in body.passages]
    return Question([body.query.text], passages, body.model, param="passages")


def _write(body: Nim, answer: RankedDocuments) -> object:
    del body
    return {"rankings": [{"index": one.index, "logit": one.logit} for one in answer.best()]}


NIM = Dialect("nim", _tell, {Fault.EMPTY: 422, Fault.TOO_LARGE: 422})
RANKING = Operation(
    NIM,
    Nim,
    _read,
    _write,
    {
        "query": {"text": "how long do fleas live"},
        "passages": [{"text": "A flea lives for 100 days."}, {"text": "Dogs bark."}],
    },
)
