"""Identify a caller by what is verified of them: callers take turns, so nobody may take several identities. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

# Nobody who reads a caller's key learns who the caller is; after a restart the keys are different.
_SALT = secrets.token_bytes(16)
# Bits of an IPv6 address that identify its network: the owner of one address has all addresses of the network.
_IPV6_NETWORK = 64
# An address as some proxies write it into `X-Forwarded-For`: with the port of the connection.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](:\d+)?|(?P<v4>[\d.]+):\d+")


@dataclass(frozen=True, slots=True)
class Caller:
    """An address, and the `Authorization` sent from it, which anybody can write."""

    address: str
    authorization: bytes = field(default=b"", repr=False)

    @property
    def network(self) -> str:
        """Return the part of the address that its owner can't choose."""
        return network_of(self.address)

    def key(self, *, proved: bool = False) -> str:
        """Return the key by which a caller takes turns: of the address and, if it is `proved`, the account.

        An account is proved once OpenSearch, or another verifier of accounts, has accepted the `Authorization`.
        """
        account = account_of(self.authorization) if proved else b""
        named = self.network.encode() + b"\0" + account
        return hashlib.blake2b(named, digest_size=8, key=_SALT).hexdigest()


class TrustedProxies:
    """The proxies that are believed when they name the client of a request, by addresses and networks."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._networks = tuple(map(ipaddress.ip_network, named))

    def __contains__(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)

    def client(self, address: str, forwarded: bytes) -> str:
        """Return the address of the client behind a connection from `address`.

        `forwarded` is all of `X-Forwarded-For`, to whose end each proxy adds the address that it was called from.
        Anybody may have written what stands before the first address that is no trusted proxy's.
        """
        named = forwarded.decode("latin-1").split(",")
        while named and address in self:
            address = _without_port(named.pop().strip()) or address
        return address


def network_of(address: str) -> str:
    """Return the part of an address that its owner can't choose: all of an IPv4 one, an IPv6 one's network."""
    found = _parsed(address)
    if found is None:
        return address  # a Unix socket has no address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address, as one of IPv4 if a socket for both versions shows it as IPv6; None if it is none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def _without_port(address: str) -> str:
    found = _WITH_PORT.fullmatch(address)
    return address if found is None else found["v6"] or found["v4"] or ""


def account_of(authorization: bytes) -> bytes:
    """Return the part of a valid `Authorization` that can't differ unless the account differs.

    For `Basic` that is the user name, since base64 has many spellings. For a signed token (JWT) it is the signed part,
    since a signature has many, too.
    """
    scheme, _, credentials = authorization.strip().partition(b" ")
    scheme, credentials = scheme.lower(), credentials.strip()
    if scheme == b"basic":
        try:
            credentials = base64.b64decode(credentials + b"==").partition(b":")[0].strip().lower()
        except binascii.Error:
            credentials = b""  # a verifier that accepts it decodes it differently
    elif credentials.count(b".") == 2:
        credentials = credentials.rpartition(b".")[0]
    return scheme + b" " + credentials if credentials else b""
