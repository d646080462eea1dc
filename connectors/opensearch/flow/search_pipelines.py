"""Tells whether the search pipeline of a search reranks already; then the sidecar does not. No I/O.

OpenSearch takes the pipeline that the URL names, else the one in the body (a name, or a pipeline written out), else the
default of the indices if all of them that have one agree; a search without an index has none (2.19.1, measured).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.flow.caller import digest
from connectors.opensearch.flow.remembered import Remembered
from connectors.opensearch.flow.search_flow import Flow, OpenSearchRequest
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.errors import EngineRejected
from sidecar.core.reasons import Reason, Why

# Seconds. The two requests take 4 ms each (2.19.1, loopback, 2 busy cores), much as a small search does; a pipeline
# that was changed may go unnoticed for that long.
REMEMBERED = 60.0
NONE = "_none"
# Refusals to remember like an answer: this account may not see it, or it is not there.
LASTING = {400, 403, 404}


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
    """Knowledge of one cluster's search pipelines; it is remembered for `REMEMBERED` seconds.

    An account that may see pipelines, and one that may not, learn nothing from each other: all is kept by caller.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._defaults: Remembered[str] = Remembered(REMEMBERED, clock=clock)
        self._reranking: Remembered[bool] = Remembered(REMEMBERED, clock=clock)

    def overrule(
        self, index: str | None, body: SearchBody, params: Mapping[str, Any], *, caller: bytes = b""
    ) -> Flow[Why | None]:
        """Say why a search must be sent as it came: its pipeline reranks. None if that does not.

        A pipeline that this account may not see, or that does not exist, counts as one that does not rerank. `caller`
        is the caller's key (`caller_of`).
        """
        pipeline = params["search_pipeline"] if "search_pipeline" in params else _in(body)
        if isinstance(pipeline, msgspec.Raw):
            return _reason("of the body") if _reranks(_read(pipeline, _Pipeline)) else None
        if pipeline is None:
            pipeline = (yield from self._default(index, caller)) if index else NONE
        if pipeline == NONE:
            return None
        return _reason(repr(str(pipeline))) if (yield from self._named(str(pipeline), caller)) else None

    def _default(self, index: str, caller: bytes) -> Flow[str]:
        """Find the name of the default pipeline of an index expression."""
        key = digest(caller, index)
        known = self._defaults.get(key)
        if known is not None:
            return known
        path = f"/{quote(index, safe=',*')}/_settings/index.search.default_pipeline"
        raw, lasting = yield from _get(f"{path}?ignore_unavailable=true&allow_no_indices=true")
        named = {of.settings.index.search.default_pipeline for of in (_read(raw, dict[str, _OfIndex]) or {}).values()}
        name = named.pop() if len(named) == 1 else NONE
        if lasting:
            self._defaults.keep(key, name)
        return name

    def _named(self, pipeline: str, caller: bytes) -> Flow[bool]:
        """Tell whether the pipeline of that name reranks."""
        key = digest(caller, pipeline)
        known = self._reranking.get(key)
        if known is not None:
            return known
        raw, lasting = yield from _get(f"/_search/pipeline/{quote(pipeline, safe='')}")
        reranks = _reranks((_read(raw, dict[str, _Pipeline]) or {}).get(pipeline))
        if lasting:
            self._reranking.keep(key, reranks)
        return reranks


def _get(path: str) -> Flow[tuple[bytes, bool]]:
    """Read a path: return the answer, empty for a rejection, and whether to remember it."""
    try:
        return (yield OpenSearchRequest(b"", {}, path)), True
    except EngineRejected as refusal:
        return b"", refusal.status in LASTING


def _in(body: SearchBody) -> str | msgspec.Raw | None:
    """Find a body's pipeline: its name, or the pipeline as it is written out."""
    try:
        raw = body.members.get("search_pipeline")
        if raw is None:
            return None
        return raw if bytes(raw).startswith(b"{") else raw_json.text(raw)
    except raw_json.Malformed:
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
