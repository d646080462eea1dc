"""Select the headers that a proxy forwards. No I/O; works on raw bytes.

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
# Patterns of headers that any caller may send to OpenSearch: a request's subject, what its sender accepts, credentials
# (which are verified), and identifiers of a request. OpenSearch, or a system beside it, may be configured to trust any
# other header about a caller (X-Forwarded-*, X-Proxy-*, X-Real-IP, and the operator's own names).
PASSED = (
    "accept", "accept-*", "authorization", "cache-control", "content-*", "cookie", "date", "digest", "dnt", "if-*",
    "max-forwards", "origin", "access-control-request-*", "pragma", "prefer", "priority", "range", "referer", "sec-*",
    "upgrade-insecure-requests", "user-agent",
    "x-opaque-id", "x-request-id", "traceparent", "tracestate", "baggage", "b3", "x-b3-*", "x-amzn-trace-id",
    "x-amz-*",  # AWS's signature, and the headers it covers
    "securitytenant", "osd-*", "kbn-*", "x-opensearch-product-origin", "x-elastic-product-origin",
    "x-elastic-client-meta",
)  # fmt: skip


def header_text(words: str) -> str:
    """Return words as one line of ASCII that fits into a header."""
    return " ".join(words.split())[:300].encode("ascii", "replace").decode()


def media_type(content_type: bytes) -> bytes:
    """Return a `Content-Type` without its parameters, in lower case."""
    return content_type.partition(b";")[0].strip().lower()


def json_type(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the `Content-Type` for a body that a request is given here.

    Elasticsearch refuses it unless it names the same version of its API as `Accept` does, if that names one.
    """
    accepted = value_of(headers, b"accept")
    return accepted if media_type(accepted) == b"application/vnd.elasticsearch+json" else b"application/json"


def to_upstream(headers: Iterable[tuple[bytes, bytes]], *, trusted: bool, passed: tuple[str, ...] = ()) -> Headers:
    """Return the request's headers for OpenSearch: the end-to-end ones, unchanged.

    Hop-by-hop headers, `host` (the connection sets its own), `expect` (it is answered here) and our API key are
    dropped. If the caller is not `trusted`, a header must also match `PASSED` or `passed`; both hold patterns in lower
    case.
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
    """Return the response's headers for the caller: all except hop-by-hop ones; names in lower case, for ASGI."""
    listed = [(name.lower(), value) for name, value in headers]
    dropped = HOP_BY_HOP | _named_in_connection(listed)
    return [(name, value) for name, value in listed if name not in dropped]


def without(headers: Headers, *names: bytes) -> Headers:
    """Return the headers without those names."""
    return [(name, value) for name, value in headers if name not in names]


def is_signed(headers: Headers) -> bool:
    """Tell whether a request has a signature of AWS (SigV4), which covers its body and some of its headers."""
    return value_of(headers, b"authorization").startswith(b"AWS4-HMAC-SHA256")


def value_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the first value of a header, empty if it is missing; `name` is in lower case."""
    return next((value for key, value in headers if key == name), b"")


def list_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return a header that is a list, whose parts may come in several lines (RFC 9110, section 5.3)."""
    return b",".join(value for key, value in headers if key == name)


def _named_in_connection(headers: Headers) -> set[bytes]:
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    # A caller must not be able to drop headers that frame or authorise a message by naming them here.
    return named - {b"content-length", b"content-type", b"authorization", b"host"}
