"""Cohere's rerank, versions 1 and 2. Source: https://docs.cohere.com/reference/rerank and /v1/reference/rerank."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, Field

from sidecar.core.documents import PassageFields
from sidecar.core.spans import SpanOptions
from sidecar.serving.rerank_api.dialect import Demands, Dialect, Operation, ParsedRequest, Question, RankedDocuments
from sidecar.serving.rerank_api.document import Document, passages_of, shown
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.rerank_api.relevance import plain

# Requests with the highest number go last.
MOST_PRIORITY = 999
# A search unit is a query with up to this many documents.
_SEARCH_UNIT = 100


class CohereV1(ParsedRequest):
    """The body of version 1: documents are strings, or objects of which `rank_fields` are read."""

    query: str
    documents: list[Document]
    top_n: int | None = Field(None, ge=1)
    rank_fields: list[str] | None = None
    return_documents: bool = False
    max_chunks_per_doc: int | None = Field(None, ge=1)


class RelevantSpans(BaseModel):
    """Which spans of each result to return: at most `max_spans` of those above `threshold`."""

    mode: Literal["enabled", "disabled"]
    threshold: float = Field(0.1, ge=0, le=1)
    max_spans: int | None = Field(None, ge=1)


def span_options(asked: RelevantSpans | None) -> SpanOptions | None:
    """Return which spans are wanted; None for no spans."""
    return None if asked is None or asked.mode == "disabled" else SpanOptions(asked.max_spans, asked.threshold)


def spans_of(answer: RankedDocuments, index: int) -> dict[str, Any]:
    """Return the part of a result that holds its spans; empty if there are none."""
    found = [{"start": one.start, "end": one.end, "score": plain(one.score)} for one in answer.spans.get(index, ())]
    return {"relevant_spans": found} if found else {}


class CohereDemands(ParsedRequest):
    """The demands of a body of version 2, beside its texts."""

    top_n: int | None = Field(None, ge=1)
    max_tokens_per_doc: int | None = Field(None, ge=1)
    priority: int = Field(0, ge=0, le=MOST_PRIORITY)
    relevant_spans: RelevantSpans | None = None

    @property
    def demands(self) -> Demands:
        """Return what the request demands beside its texts."""
        return replace(
            super().demands,
            document_tokens=self.max_tokens_per_doc,
            priority=self.priority,
            top=self.top_n,
            spans=span_options(self.relevant_spans),
        )


class CohereV2(CohereDemands):
    """The body of version 2: documents are strings."""

    query: str
    documents: list[str]


def meta(version: str, documents: int, answer: RankedDocuments, warnings: list[str] | None) -> dict[str, Any]:
    """Return the part of an answer that says what it cost; None leaves the warnings out."""
    units = -(-documents // _SEARCH_UNIT)
    said: dict[str, Any] = {"api_version": {"version": version}, "billed_units": {"search_units": units}}
    if answer.tokens is not None:
        said["tokens"] = {"input_tokens": answer.tokens, "output_tokens": 0}
    return said if warnings is None else said | {"warnings": warnings}


def cut_warnings(answer: RankedDocuments, max_chunks_per_doc: int | None = None) -> list[str]:
    """Return a warning for each thing that was not done, or only in part, and for a limit that the model decides."""
    said = []
    if max_chunks_per_doc is not None:
        said.append("max_chunks_per_doc is not applied: the model cuts a document at a length of its own")
    if answer.cut:
        read = f"the model reads {answer.max_length} tokens of a query and a document"
        said.append(f"{answer.cut} of {len(answer.passages)} documents were not read to the end: {read}")
    if answer.without_spans:
        said.append(f"{answer.without_spans} results have no spans: not all their sentences could be scored in time")
    if answer.stage_two is not None and answer.stage_two.why is not None:
        said.append(str(answer.stage_two.why))
    return said


def _tell(status: int, problem: Problem) -> dict[str, str]:
    del status
    return {"message": f"invalid request: {problem.message}" if problem.fault in _REQUEST else problem.message}


def _read_v1(body: CohereV1, fields: PassageFields) -> Question:
    return Question([body.query], passages_of(body.documents, fields, body.rank_fields), body.model)


def _write_v1(body: CohereV1, answer: RankedDocuments) -> object:
    results = [
        ({"document": shown(body.documents[one.index])} if body.return_documents else {})
        | {"index": one.index, "relevance_score": one.probability}
        for one in answer.best(body.top_n)
    ]
    warnings = cut_warnings(answer, body.max_chunks_per_doc) or None
    return {"id": answer.identity, "results": results, "meta": meta("1", len(body.documents), answer, warnings)}


def _read_v2(body: CohereV2, fields: PassageFields) -> Question:
    return Question([body.query], passages_of(body.documents, fields), body.model)


def _write_v2(body: CohereV2, answer: RankedDocuments) -> object:
    results = [
        {"index": one.index, "relevance_score": one.probability} | spans_of(answer, one.index)
        for one in answer.best(body.top_n)
    ]
    said = meta("2", len(body.documents), answer, cut_warnings(answer))
    return {"id": answer.identity, "results": results, "meta": said}


_REQUEST = {Fault.NOT_JSON, Fault.INVALID, Fault.EMPTY, Fault.TOO_LARGE}
COHERE = Dialect("cohere", _tell, {Fault.INVALID: 400, Fault.TOO_LARGE: 422})
_EXAMPLE = {"query": "how long do fleas live", "documents": ["A flea lives for 100 days.", "Dogs bark."], "top_n": 1}
RERANK_V1 = Operation(COHERE, CohereV1, _read_v1, _write_v1, _EXAMPLE | {"return_documents": True})
RERANK_V2 = Operation(COHERE, CohereV2, _read_v2, _write_v2, _EXAMPLE)
