"""Which headers go through a proxy, and which end at it. Pure, on raw bytes.

Source: RFC 9110, section 7.6.1 (connection-specific fields), and RFC 9112, section 6 (framing).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import lru_cache

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
OUR_KEY = b"x-sidecar-api-key"
# What anybody may say to OpenSearch, as patterns: what a request is about, what its sender takes, credentials (which
# prove themselves), and names to find a request by. Whatever else there is may be what OpenSearch, or something beside
# it, is set up to believe about a caller (X-Forwarded-*, X-Proxy-*, X-Real-IP, and names of the operator's own).
PASSED = (
    "accept", "accept-*", "authorization", "cache-control", "content-*", "cookie", "date", "digest", "dnt", "if-*",
    "max-forwards", "origin", "access-control-request-*", "pragma", "prefer", "priority", "range", "referer", "sec-*",
    "upgrade-insecure-requests", "user-agent",
    "x-opaque-id", "x-request-id", "traceparent", "tracestate", "baggage", "b3", "x-b3-*", "x-amzn-trace-id",
    "x-amz-*",  # AWS's signature, and what it covers
    "securitytenant", "osd-*", "kbn-*", "x-opensearch-product-origin", "x-elastic-product-origin",
    "x-elastic-client-meta",
)  # fmt: skip


def media_type(content_type: bytes) -> bytes:
    """Return a `Content-Type` without its parameters, in lower case."""
    return content_type.partition(b";")[0].strip().lower()


def to_upstream(headers: Iterable[tuple[bytes, bytes]], *, trusted: bool, passed: tuple[str, ...] = ()) -> Headers:
    """The request's headers for OpenSearch: end to end ones, as they came.

    Left out are hop-by-hop ones, `host` (the connection brings its own), `expect` (whoever asks is told here) and our
    API key; of callers that are not `trusted` also whatever is neither in `PASSED` nor in `passed`, both patterns in
    lower case.
    """
    listed = list(headers)
    dropped = HOP_BY_HOP | _named_in_connection(listed) | {b"host", b"expect", OUR_KEY}
    kept = [(name, value) for name, value in listed if name not in dropped]
    if trusted:
        return kept
    passing = _any_of((*PASSED, *passed))
    return [(name, value) for name, value in kept if passing.match(name.decode("latin-1"))]


@lru_cache(maxsize=16)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


def to_client(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The response's headers for the caller: all but the hop-by-hop ones; names in lower case, as ASGI has them."""
    listed = [(name.lower(), value) for name, value in headers]
    dropped = HOP_BY_HOP | _named_in_connection(listed)
    return [(name, value) for name, value in listed if name not in dropped]


def without(headers: Headers, *names: bytes) -> Headers:
    """The headers less those names."""
    return [(name, value) for name, value in headers if name not in names]


def value_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The first value of a header, empty if it is not there; `name` is in lower case."""
    return next((value for key, value in headers if key == name), b"")


def _named_in_connection(headers: Headers) -> set[bytes]:
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    # Nobody may make us drop what frames or authorises a message by naming it here.
    return named - {b"content-length", b"content-type", b"authorization", b"host"}
