"""The table of the rerank API: the dialect of each path. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.serving.rerank_api import castorini, cohere, infinity, jina, mixedbread, neutral, nim, tei, vllm, voyage
from sidecar.serving.rerank_api.dialect import Dialect, Operation


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that takes a POST.

    A body without `documents` but with a key of `otherwise` (`texts`, `candidates`) belongs to that operation.
    """

    path: str
    summary: str
    operation: Operation[Any]
    otherwise: Mapping[str, Operation[Any]] = field(default_factory=dict)

    @property
    def operations(self) -> tuple[Operation[Any], ...]:
        """Return every operation of the path."""
        return (self.operation, *self.otherwise.values())

    def choose(self, record: Mapping[str, Any]) -> Operation[Any]:
        """Return the operation that a body asks for."""
        if "documents" in record:
            return self.operation
        return next((one for key, one in self.otherwise.items() if key in record), self.operation)


ENDPOINTS = (
    Endpoint("/v2/rerank", "Cohere v2, vLLM", neutral.RERANK_V2),
    Endpoint(
        "/v1/rerank",
        "Cohere v1, Jina, vLLM, OpenSearch's rerank processor; castorini's shape if the body has candidates",
        neutral.RERANK_V1,
        {"candidates": castorini.RERANK},
    ),
    Endpoint(
        "/rerank", "TEI if the body has texts, else Jina, vLLM, Infinity", neutral.RERANK_V1, {"texts": tei.RERANK}
    ),
    Endpoint("/score", "vLLM's score", vllm.SCORE),
    Endpoint("/v1/score", "vLLM's score", vllm.SCORE),
    Endpoint("/v1/ranking", "NVIDIA NIM", nim.RANKING),
    Endpoint("/cohere/v1/rerank", "Cohere v1, exactly", cohere.RERANK_V1),
    Endpoint("/cohere/v2/rerank", "Cohere v2, exactly", cohere.RERANK_V2),
    Endpoint("/jina/v1/rerank", "Jina, exactly", jina.RERANK),
    Endpoint("/tei/rerank", "TEI, exactly", tei.RERANK),
    Endpoint("/voyage/v1/rerank", "Voyage, exactly", voyage.RERANK),
    Endpoint("/mixedbread/v1/reranking", "Mixedbread, exactly", mixedbread.RERANK),
    Endpoint("/infinity/rerank", "Infinity, exactly", infinity.RERANK),
    Endpoint("/infinity/v1/rerank", "Infinity, exactly", infinity.RERANK),
    Endpoint("/vllm/rerank", "vLLM, exactly", vllm.RERANK),
    Endpoint("/vllm/v1/rerank", "vLLM, exactly", vllm.RERANK),
    Endpoint("/vllm/v2/rerank", "vLLM, exactly", vllm.RERANK),
    Endpoint("/vllm/score", "vLLM's score, exactly", vllm.SCORE),
    Endpoint("/vllm/v1/score", "vLLM's score, exactly", vllm.SCORE),
)
BATCH_PATH = "/v1/rerank/batch"
_BY_PATH = {BATCH_PATH: neutral.NEUTRAL} | {endpoint.path: endpoint.operation.dialect for endpoint in ENDPOINTS}
_BY_PREFIX = {
    "cohere": cohere.COHERE,
    "jina": jina.JINA,
    "tei": tei.TEI,
    "vllm": vllm.VLLM,
    "infinity": infinity.INFINITY,
    "voyage": voyage.VOYAGE,
    "mixedbread": mixedbread.MIXEDBREAD,
}


def scores_at(path: str) -> bool:
    """True if the path is that of an endpoint, each of which scores."""
    return path in _BY_PATH


def dialect_at(path: str) -> Dialect:
    """Return the dialect for errors that occur before the body is read."""
    return _BY_PATH.get(path) or _BY_PREFIX.get(path.split("/", 2)[1] if "/" in path else "", neutral.NEUTRAL)
