"""Identify a caller by what is verified of them: callers take turns, so nobody may take several identities. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import secrets
from dataclasses import dataclass, field

# Nobody who reads a caller's key learns who the caller is; after a restart the keys are different.
_SALT = secrets.token_bytes(16)
# Bits of an IPv6 address that identify its network: the owner of one address has all addresses of the network.
_IPV6_NETWORK = 64


@dataclass(frozen=True, slots=True)
class Caller:
    """An address, and the `Authorization` sent from it, which anybody can write."""

    address: str
    authorization: bytes = field(default=b"", repr=False)

    def key(self, *, proved: bool = False) -> str:
        """Return the key by which a caller takes turns: of the address and, if it is `proved`, the account.

        An account is proved once OpenSearch, or another verifier of accounts, has accepted the `Authorization`.
        """
        account = account_of(self.authorization) if proved else b""
        named = network_of(self.address).encode() + b"\0" + account
        return hashlib.blake2b(named, digest_size=8, key=_SALT).hexdigest()


def network_of(address: str) -> str:
    """Return the part of an address that its owner can't choose: all of an IPv4 one, an IPv6 one's network."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a Unix socket has no address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))


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
