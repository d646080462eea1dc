"""Keys of callers: knowledge of a cluster that was learnt in one caller's name is kept by their key. No I/O.

What one account may see, another may not. Which header names an account is the cluster's own setting (a JWT may come in
any), so every header counts but those that are known to name nobody.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

# Headers that describe a request, a connection or a trace, and no account.
_NAMES_NOBODY = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "b3", "cache-control", "connection",
    "content-encoding", "content-length", "content-type", "date", "dnt", "host", "origin", "pragma", "priority",
    "referer", "traceparent", "tracestate", "user-agent", "via", "x-amzn-trace-id", "x-b3-flags",
    "x-b3-parentspanid", "x-b3-sampled", "x-b3-spanid", "x-b3-traceid", "x-cloud-trace-context", "x-correlation-id",
    "x-opaque-id", "x-request-id",
})  # fmt: skip
# The arguments of an opensearch-py call that say who makes it.
_ACCOUNTS = ("api_key", "http_auth")
# Headers hold passwords: without this key, which no other process has, a digest can't be tried against a list of them.
_SECRET = secrets.token_bytes(32)


def caller_of(headers: Iterable[tuple[bytes | str, bytes | str]], params: Mapping[str, Any] | None = None) -> bytes:
    """Return a key that two requests share only if they come from one account; it does not tell which.

    `headers` are those that OpenSearch gets, `params` the arguments of an opensearch-py call.
    """
    named = sorted((_text(name).lower(), _text(value)) for name, value in headers)
    identifying = [pair for pair in named if pair[0] not in _NAMES_NOBODY]
    identifying += [(name, repr(params[name])) for name in _ACCOUNTS if params and name in params]
    return digest(*(part for pair in identifying for part in pair))


def digest(*parts: str | bytes | None) -> bytes:
    """Return 16 bytes that stand for these parts, in this order, as long as this process lives."""
    found = hashlib.blake2b(key=_SECRET, digest_size=16)
    for part in parts:
        raw = b"" if part is None else part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        found.update(b"%d:" % (-1 if part is None else len(raw)) + raw)
    return found.digest()


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
