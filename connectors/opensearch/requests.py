"""Requests as callers write them, and the conversations they begin; what every connector to OpenSearch shares.

Nothing is sent from here. Whoever sends says so by a `Call`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.caller import caller_of
from connectors.opensearch.flow.cluster_state import Cluster
from connectors.opensearch.flow.search_flow import Conversation, Flow, OpenSearchRequest
from connectors.opensearch.rewrite.request import WINDOW, Hydrate
from connectors.opensearch.transport import NEVER_IN_URL, Call
from sidecar.core.documents import PassageFields


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
class MultiSearchRequest:
    """Several searches as `_msearch` takes them: `body` is lines of JSON, or a header and a body for each search."""

    index: str | Sequence[str] | None = None
    body: bytes | str | Iterable[str | Mapping[str, Any]] = b""
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    window: int = WINDOW


class SearchFlows:
    """Begins the conversations of one connector: `serializer` is its client's, `fields` say where text is.

    `hydrate="page"` asks for highlights and script fields of the page alone, by a second request.
    """

    def __init__(self, serializer: Any, fields: PassageFields | None = None, hydrate: Hydrate = "window") -> None:
        self.serializer = serializer
        self.hydrate = hydrate
        self.fields = fields or PassageFields()
        self.cluster = Cluster()

    def search(self, request: SearchRequest) -> Conversation:
        """Begin a search's conversation."""
        params = _params(request.params)
        return self._begin(_index(request.index), self._line(request.body), params, request.window, _caller(request))

    def searches(self, request: MultiSearchRequest) -> Flow[msearch_flow.Stages]:
        """Begin the conversation of several searches."""
        caller = _caller(request)

        def begin(search: msearch_flow.SubSearch) -> Conversation:
            index = msearch_flow.index_in(search.header) or _index(request.index)
            return self._begin(index, search.body, {}, request.window, caller)

        return msearch_flow.msearch_flow(self._lines(request.body), _params(request.params), begin)

    def _begin(
        self, index: str | None, body: bytes, params: Mapping[str, Any], window: int, caller: bytes
    ) -> Conversation:
        return self.cluster.begin(
            index, body, params, window=window, fields=self.fields, caller=caller, hydrate=self.hydrate
        )

    def _line(self, body: bytes | str | Mapping[str, Any] | None) -> bytes:
        text = self.serializer.dumps(body) if isinstance(body, Mapping) else body
        return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text or b""

    def _lines(self, body: bytes | str | Iterable[str | Mapping[str, Any]]) -> bytes:
        raw = self._line(body) if isinstance(body, bytes | str) else b"\n".join(map(self._line, body))
        # As opensearch-py does it.
        return raw if raw.endswith(b"\n") else raw + b"\n"


def call(request: SearchRequest | MultiSearchRequest, ask: OpenSearchRequest) -> Call:
    """Say where an ask of a request's conversation goes."""
    params = ask.params if ask.path is None else request.params
    multi = isinstance(request, MultiSearchRequest)
    return Call(_index(request.index), ask.body, params, request.headers, multi=multi, path=ask.path)


def _caller(request: SearchRequest | MultiSearchRequest) -> bytes:
    return caller_of(request.headers.items(), request.params)


def _index(index: str | Sequence[str] | None) -> str | None:
    return index if index is None or isinstance(index, str) else ",".join(index)


def search_request(  # noqa: PLR0913  they are opensearch-py's
    default_window: int,
    *,
    index: str | Sequence[str] | None = None,
    body: bytes | str | Mapping[str, Any] | None = None,
    window: int | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    **url: Any,
) -> SearchRequest:
    """Read the arguments of `OpenSearch.search`, and `window`."""
    return SearchRequest(index, body, _given(params, url), headers or {}, default_window if window is None else window)


def multi_search_request(  # noqa: PLR0913  they are opensearch-py's
    default_window: int,
    *,
    body: bytes | str | Iterable[str | Mapping[str, Any]],
    index: str | Sequence[str] | None = None,
    window: int | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    **url: Any,
) -> MultiSearchRequest:
    """Read the arguments of `OpenSearch.msearch`, and `window`."""
    return MultiSearchRequest(
        index, body, _given(params, url), headers or {}, default_window if window is None else window
    )


def _given(params: Mapping[str, Any] | None, url: Mapping[str, Any]) -> dict[str, Any]:
    both = {**(params or {}), **{"from" if key == "from_" else key: value for key, value in url.items()}}
    return {key: value for key, value in both.items() if value is not None}


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value if key in NEVER_IN_URL else _written(value) for key, value in params.items()}


def _written(value: Any) -> Any:
    """Write a parameter as URLs have it: true and false in lower case, lists with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value
