"""Decide who may change the service: a caller with its key, or on its machine and not from a web page. No I/O."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.headers import OUR_KEY, media_type

# Headers that a proxy adds; behind one, the caller's address is not the connection's.
_BY_PROXY = (b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip")


def key_fits(api_key: str | None, exchange: Exchange) -> bool:
    """True if a request carries our key, compared in constant time, or if there is no key."""
    if api_key is None:
        return True
    return hmac.compare_digest(_brought(exchange), api_key.encode())


def client_of(client_keys: Mapping[str, str], exchange: Exchange) -> str | None:
    """Return the name of the client whose key a request carries, None if it carries none of these keys."""
    brought = _brought(exchange)
    # Every key is compared, so that the time tells nothing.
    found = [name for name, key in client_keys.items() if hmac.compare_digest(brought, key.encode())]
    return found[0] if found else None


def _brought(exchange: Exchange) -> bytes:
    """Return the key that a request carries, empty if it carries none."""
    scheme, _, token = exchange.header(b"authorization").partition(b" ")
    # A scheme's name may be in upper or lower case (RFC 9110, section 11.1).
    return exchange.header(OUR_KEY) or (token.strip() if scheme.lower() == b"bearer" else b"")


def obstacle_to_change(
    exchange: Exchange, keyed: bool, allowed_hosts: Collection[str], *, doing: str = "change anything"
) -> str:
    """Say why a request may not change anything, "" if it may; `doing` is for the message.

    If the service is `keyed`, the request has brought a key that fits. Without a key every caller on the loopback
    interface may. A web page in a browser there reaches it, too: from its own origin, or by a host name of its own that
    resolves to this address (DNS rebinding).
    """
    origin = exchange.header(b"origin").decode("latin-1")
    host = exchange.header(b"host").decode("latin-1")
    if (origin and _place(origin) != host) or exchange.header(b"sec-fetch-site") in {b"cross-site", b"same-site"}:
        return f"a page of another origin may not {doing} here"
    if keyed:
        return ""
    if not _is_loopback(exchange.peer) or any(exchange.header(name) for name in _BY_PROXY):
        return f"without SIDECAR_API_KEY only this machine itself may {doing}"
    if not _names_this_machine(host, allowed_hosts):
        return "without SIDECAR_API_KEY this host name is not accepted: use localhost, or set SIDECAR_ALLOWED_HOSTS"
    return ""


def is_json(exchange: Exchange) -> bool:
    """True if the content type is JSON, which no HTML form can send."""
    return media_type(exchange.header(b"content-type")) == b"application/json"


def _place(origin: str) -> str:
    """Return an origin's host and port; "" if it has none (`null`)."""
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
    if host.lower() in allowed_hosts or name in allowed_hosts or name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
