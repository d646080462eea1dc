"""Decide whether a request names a host that is served. No I/O."""

from __future__ import annotations

from collections.abc import Collection

from sidecar.serving.http.asgi import Exchange


def host_is_served(exchange: Exchange, allowed: Collection[str]) -> bool:
    """True if a request's `Host` is one of the `allowed` names, with or without its port; if there are none, always.

    Names are in lower case; a `Host` may be in any (RFC 9110, section 4.2.3).
    """
    host = exchange.header(b"host").decode("latin-1").lower()
    return not allowed or host in allowed or host.rpartition(":")[0] in allowed
