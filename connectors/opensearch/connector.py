"""The two verbs on OpenSearch: fetch a window of hits, respond with OpenSearch's own answer in a better order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearchpy import OpenSearch

from connectors.opensearch import client as wire
from connectors.opensearch import response, splice
from connectors.opensearch.request import WINDOW, Plan, Unranked, plan
from connectors.opensearch.response import Answer
from sidecar.candidates import Candidate, FirstStage, Ranking
from sidecar.documents import PassageFields
from sidecar.errors import EngineRejected

# Refusals that the caller's own, smaller search would meet just the same.
_FINAL = {401, 403, 404, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search as OpenSearch takes it.

    `body` is its JSON, or what the client's serializer makes JSON of. `params` are the URL's, as opensearch-py names
    them; `from` and `size` may be among them. The first `window` hits are reranked, whatever page is asked for.
    """

    index: str | Sequence[str] | None = None
    body: bytes | str | Mapping[str, Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    window: int = WINDOW


@dataclass(frozen=True, slots=True)
class Native:
    """What OpenSearch answered: its bytes, and if it can be reranked the plan behind it and its parts."""

    raw: bytes
    plan: Plan | None = None
    answer: Answer | None = None

    def documents(self) -> list[bytes]:
        """Each hit's `_source` as one line of JSON, null where there is none."""
        return [] if self.answer is None else response.sources(self.answer)


class OpenSearchConnector:
    """OpenSearch behind `fetch` and `respond`; the client stays the user's own and unchanged.

    `fields` says where a document's title and text are, by dotted path.
    """

    def __init__(self, client: OpenSearch, fields: PassageFields | None = None) -> None:
        self.client = client
        self.fields = fields or PassageFields()

    def fetch(self, request: SearchRequest) -> FirstStage[Native]:
        """Search for the window. What can't be reranked is answered as OpenSearch answers it, with the reason.

        Raises `EngineUnreachable`, or `EngineRejected` (`MissingIndex` for an unknown index) with OpenSearch's message.
        """
        params = {key: value if key in wire.NEVER_IN_URL else _wire(value) for key, value in request.params.items()}
        planned = plan(self._bytes(request.body), window=request.window, fields=self.fields, params=params)
        if isinstance(planned, Unranked):
            return _skipped(self._send(request, planned.body, params), planned.reason)
        try:
            raw = self._send(request, planned.body, planned.params)
        except EngineRejected as refusal:
            if refusal.status in _FINAL:
                raise
            return _skipped(
                self._send(request, planned.original, params), f"OpenSearch refused the window: {refusal.message}"
            )
        try:
            answer = response.read(raw)
            found = response.candidates(answer, planned, self.fields)
        except splice.Malformed as reason:
            return _skipped(self._send(request, planned.original, params), f"the response can't be reranked: {reason}")
        if answer.failed_shards:
            whole = self._send(request, planned.original, params)
            if _failed_shards(whole) < answer.failed_shards:
                return _skipped(whole, "some shards refused the window")
        return _first_stage(raw, planned, answer, found)

    def respond(self, first_stage: FirstStage[Native], ranking: Ranking) -> bytes:
        """Cut the page the caller asked for out of OpenSearch's answer, in the ranking's order."""
        native = first_stage.native
        if native.plan is None or native.answer is None:
            return native.raw
        return response.respond(native.answer, native.plan, ranking)

    def _bytes(self, body: bytes | str | Mapping[str, Any] | None) -> bytes:
        text = self.client.transport.serializer.dumps(body) if isinstance(body, Mapping) else body
        return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text or b""

    def _send(self, request: SearchRequest, body: bytes, params: Mapping[str, Any]) -> bytes:
        index = request.index if request.index is None or isinstance(request.index, str) else ",".join(request.index)
        return wire.search(self.client, index, body, params, request.headers)


def _first_stage(raw: bytes, planned: Plan, answer: Answer, found: list[Candidate]) -> FirstStage[Native]:
    return FirstStage(query=planned.query, candidates=found, native=Native(raw, planned, answer))


def _skipped(raw: bytes, reason: str) -> FirstStage[Native]:
    return FirstStage(query="", candidates=(), native=Native(raw), skipped=reason)


def _failed_shards(raw: bytes) -> int:
    try:
        return response.read(raw).failed_shards
    except splice.Malformed:
        return 0


def _wire(value: Any) -> Any:
    """Write a parameter as URLs have it: true and false in lower case, lists with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value
