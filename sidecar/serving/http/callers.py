"""Who asks, as far as it is proved: the scorer gives callers turns, so nobody may invent themselves anew. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import secrets
from dataclasses import dataclass, field

# A caller's key says nothing of them to whoever reads it, and nothing at all after a restart.
_SALT = secrets.token_bytes(16)
# Of an IPv6 address: whoever has one has all of its network.
_IPV6_NETWORK = 64


@dataclass(frozen=True, slots=True)
class Caller:
    """An address, and the `Authorization` that came from it, which anybody can write."""

    address: str
    authorization: bytes = field(default=b"", repr=False)

    def key(self, *, proved: bool = False) -> str:
        """Name whose turn a request takes: the address, and where it is `proved` the account.

        An account is proved once whoever checks accounts took the `Authorization`.
        """
        account = account_of(self.authorization) if proved else b""
        named = network_of(self.address).encode() + b"\0" + account
        return hashlib.blake2b(named, digest_size=8, key=_SALT).hexdigest()


def network_of(address: str) -> str:
    """Return the part of an address that its owner can't choose: all of an IPv4 one, an IPv6 one's network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a Unix socket has none
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))


def account_of(authorization: bytes) -> bytes:
    """Return what a valid `Authorization` can't vary without being another account's.

    Of `Basic` that is the user name, since base64 can be written in many ways. Of a signed token (JWT) it is what was
    signed, since a signature can be, too.
    """
    scheme, _, credentials = authorization.strip().partition(b" ")
    scheme, credentials = scheme.lower(), credentials.strip()
    if scheme == b"basic":
        try:
            credentials = base64.b64decode(credentials + b"==").partition(b":")[0].strip().lower()
        except binascii.Error:
            credentials = b""  # whoever takes it has a reading of their own
    elif credentials.count(b".") == 2:
        credentials = credentials.rpartition(b".")[0]
    return scheme + b" " + credentials if credentials else b""
