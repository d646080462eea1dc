"""The rerank APIs that a remote scorer may have: how a request is written and how an answer is read. No I/O.

An answer is used only if it has exactly one score for each passage that was sent.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.core.candidates import Passage
from sidecar.core.errors import NonFiniteScore, ScoringError

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RemoteDialect:
    """One API: the path below the server's address, and the shapes of request and answer.

    `listed` is the key of the answer's list ("": the answer is the list) and `valued` that of a score in it.
    `largest` is the number of passages that its servers take in one request unless they say otherwise. `logits` is
    True if the scores are the model's own, and False if they are already between 0 and 1. `counted` are the paths at
    which an answer may tell the tokens of the request, the first with a number counts.
    """

    name: str
    path: str
    write: Callable[[str, Sequence[Passage], str | None], Body]
    listed: str
    valued: str
    largest: int
    logits: bool = False
    counted: tuple[tuple[str, ...], ...] = ()

    def tokens(self, answer: object) -> int | None:
        """Return how many tokens the server read for the request, None if the answer does not tell."""
        for path in self.counted:
            found = answer
            for key in path:
                found = found.get(key) if isinstance(found, dict) else None
            if type(found) is int and found > 0:
                return found
        return None

    def read(self, answer: object, count: int, server: str) -> list[float]:
        """Return the scores in the order of the passages. Raises ScoringError, NonFiniteScore."""
        found = answer
        if self.listed:
            found = answer.get(self.listed) if isinstance(answer, dict) else None
        if not isinstance(found, list):
            where = f"{self.listed!r}" if self.listed else "the answer"
            raise _unusable(server, f"{where} is not a list of scores", self)
        scores: list[float | None] = [None] * count
        for entry in found:
            index, value = self._entry(entry, count, server)
            if scores[index] is not None:
                raise _unusable(server, f"passage {index} is scored twice", self)
            scores[index] = value
        known = [score for score in scores if score is not None]
        if len(known) < count:
            raise _unusable(server, f"{count - len(known)} of {count} passages have no score", self)
        if not all(map(math.isfinite, known)):
            raise NonFiniteScore(f"{server} scored passages as NaN or infinity.", remedy="Look at its model.")
        return known

    def _entry(self, entry: Any, count: int, server: str) -> tuple[int, float]:
        """Return the position and the score of one entry of the list."""
        if isinstance(entry, dict):
            index, value = entry.get("index"), entry.get(self.valued)
            if type(index) is int and 0 <= index < count and (type(value) is int or type(value) is float):
                # A whole number may have more digits than a float can hold.
                return index, float(value) if abs(value) <= sys.float_info.max else math.inf
        raise _unusable(server, f"{str(entry)[:80]!r} is not the score of one of {count} passages", self)


def document_text(passage: Passage) -> str:
    """Return title and text with a space between them, or the one that is not empty."""
    return " ".join(part for part in (passage.title, passage.text) if part)


def _texts(passages: Sequence[Passage]) -> list[str]:
    return [document_text(passage) for passage in passages]


def _named(model: str | None, body: Body) -> Body:
    return body if model is None else {"model": model, **body}


def _sidecar(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    documents = [{"title": one.title, "text": one.text} for one in passages]
    # By `rank_fields` the server's own field settings do not matter.
    fields = {"rank_fields": ["title", "text"], "raw_scores": True}
    return _named(model, {"query": query, "documents": documents, **fields})


def _tei(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    del model  # a server has one
    return {"query": query, "texts": _texts(passages), "raw_scores": True, "truncate": True}


def _documents(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    return _named(model, {"query": query, "documents": _texts(passages)})


def _infinity(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    return {**_documents(query, passages, model), "raw_scores": True}


def _all_of(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    return {**_documents(query, passages, model), "top_n": len(passages)}


def _jina(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    return {**_all_of(query, passages, model), "return_documents": False}


def _voyage(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    return {**_documents(query, passages, model), "truncation": True}


def _score(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    return _named(model, {"text_1": query, "text_2": _texts(passages)})


def _nim(query: str, passages: Sequence[Passage], model: str | None) -> Body:
    texts = [{"text": text} for text in _texts(passages)]
    return _named(model, {"query": {"text": query}, "passages": texts, "truncate": "END"})


_TOTAL = (("usage", "total_tokens"),)
_META = (("meta", "tokens", "input_tokens"), ("meta", "billed_units", "input_tokens"))
SIDECAR = RemoteDialect("sidecar", "/rerank", _sidecar, "results", "relevance_score", 1000, logits=True, counted=_META)
# A TEI tells its tokens in a header.
TEI = RemoteDialect("tei", "/rerank", _tei, "", "score", 32, logits=True)
VLLM = RemoteDialect("vllm", "/rerank", _documents, "results", "relevance_score", 1000, counted=_TOTAL)
VLLM_SCORE = RemoteDialect("vllm-score", "/score", _score, "data", "score", 1000, counted=_TOTAL)
# Infinity's `usage` counts characters, unless it was started to count tokens.
INFINITY = RemoteDialect("infinity", "/rerank", _infinity, "results", "relevance_score", 1000, logits=True)
NIM = RemoteDialect("nim", "/v1/ranking", _nim, "rankings", "logit", 512, logits=True, counted=_TOTAL)
COHERE = RemoteDialect("cohere", "/v2/rerank", _all_of, "results", "relevance_score", 1000, counted=_META)
JINA = RemoteDialect("jina", "/v1/rerank", _jina, "results", "relevance_score", 1000, counted=_TOTAL)
VOYAGE = RemoteDialect("voyage", "/v1/rerank", _voyage, "data", "relevance_score", 1000, counted=_TOTAL)
DIALECTS = {one.name: one for one in (SIDECAR, TEI, VLLM, VLLM_SCORE, INFINITY, NIM, COHERE, JINA, VOYAGE)}


def _unusable(server: str, why: str, dialect: RemoteDialect) -> ScoringError:
    return ScoringError(
        f"The answer of {server} can't be used: {why}.",
        remedy=f"It was asked in the dialect {dialect.name!r}; name another if the server has one.",
    )
