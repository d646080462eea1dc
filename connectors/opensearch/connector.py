"""The two verbs on OpenSearch: fetch a window of hits, respond with OpenSearch's own answer in a better order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from opensearchpy import OpenSearch

from connectors.opensearch import client as wire
from connectors.opensearch import response
from connectors.opensearch.conversation import Ask, Native, conversation, proceed
from connectors.opensearch.pipelines import Pipelines
from connectors.opensearch.request import WINDOW
from sidecar.candidates import FirstStage, Ranking
from sidecar.documents import PassageFields
from sidecar.errors import EngineRejected


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


class OpenSearchConnector:
    """OpenSearch behind `fetch` and `respond`; the client stays the user's own and unchanged.

    `fields` says where a document's title and text are, by dotted path.
    """

    def __init__(self, client: OpenSearch, fields: PassageFields | None = None) -> None:
        self.client = client
        self.fields = fields or PassageFields()
        self.pipelines = Pipelines()

    def fetch(self, request: SearchRequest) -> FirstStage[Native]:
        """Search for the window. What can't be reranked is answered as OpenSearch answers it, with the reason.

        Raises `EngineUnreachable`, or `EngineRejected` (`MissingIndex` for an unknown index) with OpenSearch's message.
        """
        params = {key: value if key in wire.NEVER_IN_URL else _wire(value) for key, value in request.params.items()}
        overrule = partial(self.pipelines.overrule, _index(request))
        body = self._bytes(request.body)
        talk = conversation(body, params, window=request.window, fields=self.fields, overrule=overrule)
        step = proceed(talk)
        while isinstance(step, Ask):
            try:
                answer: bytes | EngineRejected = self._send(request, step)
            except EngineRejected as refusal:
                answer = refusal
            step = proceed(talk, answer)
        return step

    def respond(self, first_stage: FirstStage[Native], ranking: Ranking) -> bytes:
        """Cut the page the caller asked for out of OpenSearch's answer, in the ranking's order."""
        native = first_stage.native
        if native.plan is None or native.answer is None:
            return native.raw
        return response.respond(native.answer, native.plan, ranking)

    def _bytes(self, body: bytes | str | Mapping[str, Any] | None) -> bytes:
        text = self.client.transport.serializer.dumps(body) if isinstance(body, Mapping) else body
        return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text or b""

    def _send(self, request: SearchRequest, ask: Ask) -> bytes:
        if ask.path is not None:
            return wire.read(self.client, ask.path, request.params, request.headers)
        return wire.search(self.client, _index(request), ask.body, ask.params, request.headers)


def _index(request: SearchRequest) -> str | None:
    return request.index if request.index is None or isinstance(request.index, str) else ",".join(request.index)


def _wire(value: Any) -> Any:
    """Write a parameter as URLs have it: true and false in lower case, lists with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value
