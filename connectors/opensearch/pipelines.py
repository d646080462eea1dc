"""Who reranks: a search pipeline with a `rerank` processor goes before us. Pure: it sends nothing.

OpenSearch takes the pipeline that the URL names, else the one in the body (a name, or a pipeline written out), else the
default of the indices if all of them that have one agree; a search without an index has none (2.19.1, measured).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.opensearch import splice
from connectors.opensearch.conversation import Ask, Talk
from sidecar.errors import EngineRejected
from sidecar.reasons import Reason, Why

# Seconds. The two questions take 4 ms each (2.19.1, loopback, 2 busy cores), much as a small search does; a pipeline
# that was changed may go unnoticed for that long.
REMEMBERED = 60.0
# Index expressions with dates in them are ever new.
MOST_ANSWERS = 1000
NONE = "_none"
# Refusals to remember like an answer: this account may not see it, or it is not there.
_LASTING = {400, 403, 404}


class _Pipeline(msgspec.Struct):
    response_processors: list[dict[str, msgspec.Raw]] = []


class _Search(msgspec.Struct):
    default_pipeline: str = NONE


class _Index(msgspec.Struct):
    search: _Search = msgspec.field(default_factory=_Search)


class _Settings(msgspec.Struct):
    index: _Index = msgspec.field(default_factory=_Index)


class _OfIndex(msgspec.Struct):
    settings: _Settings = msgspec.field(default_factory=_Settings)


class Pipelines:
    """What is known of one cluster's search pipelines; an answer is remembered for `REMEMBERED` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[str, tuple[float, bytes]] = {}

    def overrule(self, index: str | None, body: bytes, params: Mapping[str, Any]) -> Talk[Why | None]:
        """Tell why a search must go as it came: the pipeline it goes through reranks. None if none does.

        What this account may not see, and what is not there, is taken for a pipeline that does not rerank.
        """
        pipeline = params["search_pipeline"] if "search_pipeline" in params else _in(body)
        if isinstance(pipeline, msgspec.Raw):
            return _reason("of the body") if _reranks(_read(pipeline, _Pipeline)) else None
        if pipeline is None:
            pipeline = (yield from self._default(index)) if index else NONE
        if pipeline == NONE:
            return None
        raw = yield from self._ask(f"/_search/pipeline/{quote(str(pipeline), safe='')}")
        found = _read(raw, dict[str, _Pipeline]) or {}
        return _reason(repr(str(pipeline))) if _reranks(found.get(pipeline)) else None

    def _default(self, index: str) -> Talk[str]:
        path = f"/{quote(index, safe=',*')}/_settings/index.search.default_pipeline"
        raw = yield from self._ask(f"{path}?ignore_unavailable=true&allow_no_indices=true")
        named = {of.settings.index.search.default_pipeline for of in (_read(raw, dict[str, _OfIndex]) or {}).values()}
        return named.pop() if len(named) == 1 else NONE

    def _ask(self, path: str) -> Talk[bytes]:
        until, raw = self._answers.get(path, (0.0, b""))
        now = self._clock()
        if now < until:
            return raw
        try:
            raw = yield Ask(b"", {}, path)
        except EngineRejected as refusal:
            if refusal.status not in _LASTING:
                return b""
            raw = b""
        if len(self._answers) >= MOST_ANSWERS:
            self._answers.clear()
        self._answers[path] = (now + REMEMBERED, raw)
        return raw


def _in(body: bytes) -> str | msgspec.Raw | None:
    """Find a body's pipeline: its name, or the pipeline as it is written out."""
    try:
        raw = splice.members(splice.veiled(body)).get("search_pipeline") if body.strip() else None
        if raw is None:
            return None
        return raw if bytes(raw).startswith(b"{") else splice.text(raw)
    except splice.Malformed:
        return NONE  # OpenSearch will say what is wrong with it


def _reranks(pipeline: _Pipeline | None) -> bool:
    return pipeline is not None and any("rerank" in processor for processor in pipeline.response_processors)


def _read(raw: bytes | msgspec.Raw, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _reason(pipeline: str) -> Why:
    words = f"the search pipeline {pipeline} reranks already; ask with search_pipeline=_none to have the sidecar do it"
    return Why(Reason.PIPELINE, words)
