"""Which path speaks which dialect: the table of the rerank API. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.serving.rerank_api import cohere, jina, neutral, nim, tei, vllm
from sidecar.serving.rerank_api.dialect import Dialect, Operation


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that takes a POST; with `by_texts` a body that has `texts`, and no `documents`, is that operation's."""

    path: str
    summary: str
    operation: Operation[Any]
    by_texts: Operation[Any] | None = None

    @property
    def operations(self) -> tuple[Operation[Any], ...]:
        """Whatever the path can be asked."""
        return (self.operation,) if self.by_texts is None else (self.operation, self.by_texts)

    def choose(self, record: Mapping[str, Any]) -> Operation[Any]:
        """The operation that a body asks for."""
        if self.by_texts is not None and "texts" in record and "documents" not in record:
            return self.by_texts
        return self.operation


ENDPOINTS = (
    Endpoint("/v2/rerank", "Cohere v2, vLLM", neutral.RERANK_V2),
    Endpoint("/v1/rerank", "Cohere v1, Jina, vLLM, OpenSearch's rerank processor", neutral.RERANK_V1),
    Endpoint("/rerank", "TEI if the body has texts, else Jina, vLLM, Infinity", neutral.RERANK_V1, by_texts=tei.RERANK),
    Endpoint("/score", "vLLM's score", vllm.SCORE),
    Endpoint("/v1/score", "vLLM's score", vllm.SCORE),
    Endpoint("/v1/ranking", "NVIDIA NIM", nim.RANKING),
    Endpoint("/cohere/v1/rerank", "Cohere v1, exactly", cohere.RERANK_V1),
    Endpoint("/cohere/v2/rerank", "Cohere v2, exactly", cohere.RERANK_V2),
    Endpoint("/jina/v1/rerank", "Jina, exactly", jina.RERANK),
    Endpoint("/tei/rerank", "TEI, exactly", tei.RERANK),
    Endpoint("/vllm/rerank", "vLLM, exactly", vllm.RERANK),
    Endpoint("/vllm/v1/rerank", "vLLM, exactly", vllm.RERANK),
    Endpoint("/vllm/v2/rerank", "vLLM, exactly", vllm.RERANK),
    Endpoint("/vllm/score", "vLLM's score, exactly", vllm.SCORE),
    Endpoint("/vllm/v1/score", "vLLM's score, exactly", vllm.SCORE),
)
_BY_PATH = {endpoint.path: endpoint.operation.dialect for endpoint in ENDPOINTS}
_BY_PREFIX = {"cohere": cohere.COHERE, "jina": jina.JINA, "tei": tei.TEI, "vllm": vllm.VLLM}


def dialect_at(path: str) -> Dialect:
    """The dialect in which errors are told where there is no body to tell more."""
    return _BY_PATH.get(path) or _BY_PREFIX.get(path.split("/", 2)[1] if "/" in path else "", neutral.NEUTRAL)
