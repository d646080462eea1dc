"""Who may change how the service runs: whoever has its key, or sits on its machine and is no web page. Pure."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.headers import OUR_KEY, media_type

# What a proxy adds; behind one, the address of whoever asks is not that of the connection.
_BY_PROXY = (b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip")


def key_fits(api_key: str | None, exchange: Exchange) -> bool:
    """Whether a request brings our key, compared in constant time; True where there is none to bring."""
    if api_key is None:
        return True
    scheme, _, token = exchange.header(b"authorization").partition(b" ")
    # A scheme's name may be written either way (RFC 9110, section 11.1).
    brought = exchange.header(OUR_KEY) or (token.strip() if scheme.lower() == b"bearer" else b"")
    return hmac.compare_digest(brought, api_key.encode())


def obstacle_to_change(exchange: Exchange, api_key: str | None, allowed_hosts: Collection[str]) -> str:
    """Say why a request may not change anything, "" if it may. That it brings the key, if there is one, is known.

    Without a key whoever reaches the loopback interface may, and a web page in a browser there reaches it, too: by its
    own origin, or under a name of its own that leads here (DNS rebinding).
    """
    origin = exchange.header(b"origin").decode("latin-1")
    host = exchange.header(b"host").decode("latin-1")
    if (origin and _place(origin) != host) or exchange.header(b"sec-fetch-site") in {b"cross-site", b"same-site"}:
        return "a page of another origin changes nothing here"
    if api_key is not None:
        return ""
    if not _is_loopback(exchange.peer) or any(exchange.header(name) for name in _BY_PROXY):
        return "without SIDECAR_API_KEY only this machine itself changes anything"
    if not _names_this_machine(host, allowed_hosts):
        return (
            "without SIDECAR_API_KEY nothing is changed under this host name: use localhost, or SIDECAR_ALLOWED_HOSTS"
        )
    return ""


def is_json(exchange: Exchange) -> bool:
    """Whether the body says that it is JSON, which no HTML form can."""
    return media_type(exchange.header(b"content-type")) == b"application/json"


def _place(origin: str) -> str:
    """Return an origin's host and port; "" where it has none (`null`)."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    """Return a `Host` without its port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _names_this_machine(host: str, allowed_hosts: Collection[str]) -> bool:
    name = _name(host)
    if host in allowed_hosts or name in allowed_hosts or name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
