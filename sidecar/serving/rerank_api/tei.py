"""Text Embeddings Inference's rerank. Source: its router, https://github.com/huggingface/text-embeddings-inference."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.dialect import Demands, Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.problem import Fault, Problem


class Tei(ParsedRequest):
    """The body. A text that is too long is cut at its end unless `truncate` is false; never at its start."""

    query: str
    texts: list[str]
    truncate: bool | None = None
    truncation_direction: Literal["Right", "right"] = "Right"
    raw_scores: bool = False
    return_text: bool = False

    @property
    def demands(self) -> Demands:
        """Return what the request demands beside its texts."""
        return replace(super().demands, whole=self.truncate is False)


_TYPES = {
    Fault.EMPTY: "Empty",
    Fault.BUSY: "Overloaded",
    Fault.RATE_LIMITED: "Overloaded",
    Fault.UNAVAILABLE: "Unhealthy",
    Fault.TOO_LATE: "Unhealthy",
    Fault.FAILED: "Backend",
}


def _tell(status: int, problem: Problem) -> dict[str, str]:
    del status
    return {"error": problem.message, "error_type": _TYPES.get(problem.fault, "Validation")}


def _read(body: Tei, fields: PassageFields) -> Question:
    del fields
    return Question([body.query], [Passage("", text) for text in body.texts], body.model, param="texts")


def _write(body: Tei, answer: RankedDocuments) -> object:
    return [
        {"index": one.index}
        | ({"text": body.texts[one.index]} if body.return_text else {})
        | {"score": one.logit if body.raw_scores else one.probability}
        for one in answer.best()
    ]


TEI = Dialect("tei", _tell, {Fault.FAILED: 424, Fault.TOO_LATE: 503})
RERANK = Operation(
    TEI,
    Tei,
    _read,
    _write,
    {"query": "how long do fleas live", "texts": ["A flea lives for 100 days.", "Dogs bark."], "raw_scores": True},
)


def info(model: str, *, version: str, tokens: int, max_documents: int, max_requests: int) -> dict[str, object]:
    """Answer `GET /info`; `tokens` is how many of a pair the model reads. Clients calculate with the numbers."""
    return {
        "model_id": model,
        "model_sha": None,
        "model_dtype": None,
        "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        "max_concurrent_requests": max_requests,
        "max_input_length": tokens,
        "max_batch_tokens": tokens * max_documents,
        "max_batch_requests": max_documents,
        "max_client_batch_size": max_documents,
        "auto_truncate": True,
        "tokenization_workers": 1,
        "version": version,
        "sha": None,
        "docker_label": None,
    }
