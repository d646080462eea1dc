"""Which headers go through a proxy, and which end at it. Pure, on raw bytes.

Source: RFC 9110, section 7.6.1 (connection-specific fields), and RFC 9112, section 6 (framing).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
OUR_KEY = b"x-sidecar-api-key"
# What OpenSearch may be set up to believe about a caller; only a proxy that was declared may say it.
IDENTITY = frozenset({
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-by", b"x-real-ip",
    b"x-proxy-user", b"x-proxy-roles", b"x-proxy-ext", b"x-opendistro-security-tenant-override",
})  # fmt: skip


def to_upstream(headers: Iterable[tuple[bytes, bytes]], *, trusted: bool, identity: Collection[bytes] = ()) -> Headers:
    """The request's headers for OpenSearch: end to end ones, as they came.

    Left out are hop-by-hop ones, `host` (the connection brings its own), our API key, and from callers that are not
    `trusted` what claims an identity: `IDENTITY` and the names in `identity`.
    """
    listed = list(headers)
    dropped = HOP_BY_HOP | _named_in_connection(listed) | {b"host", OUR_KEY}
    if not trusted:
        dropped |= IDENTITY | set(identity)
    return [(name, value) for name, value in listed if name not in dropped]


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
