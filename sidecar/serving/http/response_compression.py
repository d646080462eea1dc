"""Compress answers made here for callers that accept it, as OpenSearch compresses its own."""

from __future__ import annotations

import asyncio
import gzip

from sidecar.serving.http.headers import Headers, value_of, without

# Smaller answers are not worth compressing; larger ones would block the event loop.
LEAST, LARGE = 1024, 65_536
# OpenSearch's own `http.compression_level`.
LEVEL = 3


async def compressed(headers: Headers, body: bytes, accept_encoding: bytes) -> tuple[Headers, bytes]:
    """Compress an answer's body if its caller accepts gzip and it is long enough; an encoded one stays as it is."""
    if len(body) < LEAST or not takes_gzip(accept_encoding) or value_of(headers, b"content-encoding"):
        return headers, body
    if len(body) >= LARGE:
        body = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
    else:
        body = gzip.compress(body, LEVEL, mtime=0)
    return [*without(headers, b"content-length"), (b"content-encoding", b"gzip")], body


def takes_gzip(accept_encoding: bytes) -> bool:
    """True if an `Accept-Encoding` accepts gzip: by name, or by `*` if it is not named (RFC 9110, 12.5.3)."""
    weights = {}
    for part in accept_encoding.lower().split(b","):
        name, *parameters = (piece.strip() for piece in part.split(b";"))
        weights[name] = next((_weight(one) for one in parameters if one.startswith(b"q=")), 1.0)
    return weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0))) > 0


def _weight(parameter: bytes) -> float:
    try:
        return float(parameter[2:])
    except ValueError:
        return 0.0
