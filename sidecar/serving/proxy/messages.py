"""A request to OpenSearch, and its whole answer, as the proxy sends and gets them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from sidecar.serving.http.headers import Headers, is_signed, without


@dataclass(frozen=True, slots=True)
class Request:
    """One request for OpenSearch. `target` is the raw path with its query; `body` may be a stream.

    The request counts against the share of `peer` in the connections.
    """

    method: str
    target: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] | None = None
    is_read: bool = False
    peer: str = ""

    @property
    def may_be_repeated(self) -> bool:
        """Whether the request may be sent again: it changes nothing, and its body is still there."""
        return self.is_read and not isinstance(self.body, AsyncIterator)

    def within_trace(self, carrier: Mapping[str, str]) -> Request:
        """Return the request with the headers that carry a trace on, in place of the caller's own; "" leaves one out.

        A signed request stays as it is: the signature may cover them.
        """
        if not carrier or is_signed(self.headers):
            return self
        carried = [(name.encode(), value.encode("latin-1", "replace")) for name, value in carrier.items()]
        own = without(self.headers, *(name for name, _ in carried))
        return replace(self, headers=own + [(name, value) for name, value in carried if value])


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `headers` are end-to-end ones."""

    status: int
    headers: Headers
    body: bytes
