"""Searches as callers write them, and what opensearch-py makes of their arguments. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.opensearch.rewrite.request import WINDOW
from connectors.opensearch.transport import NEVER_IN_URL


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search as OpenSearch takes it.

    `body` is its JSON, or what the client's serializer makes JSON of. `params` are the URL's, as opensearch-py names
    them; `from` and `size` may be among them. The first `window` hits are reranked, whatever page is requested.
    """

    index: str | Sequence[str] | None = None
    body: bytes | str | Mapping[str, Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    window: int = WINDOW

    def encoded(self, serializer: Any) -> bytes:
        """Return the bytes of the body; `serializer` is the client's."""
        return _line(self.body, serializer)


@dataclass(frozen=True, slots=True)
class MultiSearchRequest:
    """Several searches as `_msearch` takes them: `body` is lines of JSON, or a header and a body for each search."""

    index: str | Sequence[str] | None = None
    body: bytes | str | Iterable[str | Mapping[str, Any]] = b""
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    window: int = WINDOW

    def encoded(self, serializer: Any) -> bytes:
        """Return the bytes of the body; `serializer` is the client's."""
        if isinstance(self.body, bytes | str):
            raw = _line(self.body, serializer)
        else:
            raw = b"\n".join(_line(one, serializer) for one in self.body)
        # As opensearch-py does it.
        return raw if raw.endswith(b"\n") else raw + b"\n"


def index_expression(index: str | Sequence[str] | None) -> str | None:
    """Write index names as OpenSearch's URLs have them."""
    return index if index is None or isinstance(index, str) else ",".join(index)


def written_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Write the parameters of a call as OpenSearch's URLs have them; opensearch-py's own arguments stay as they are."""
    return {key: value if key in NEVER_IN_URL else _written(value) for key, value in params.items()}


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


def _written(value: Any) -> Any:
    """Write a parameter as URLs have it: true and false in lower case, lists with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _line(body: bytes | str | Mapping[str, Any] | None, serializer: Any) -> bytes:
    text = serializer.dumps(body) if isinstance(body, Mapping) else body
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text or b""
