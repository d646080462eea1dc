"""Settings that name hosts, proxies and web pages: written as requests name them, or refused. No I/O."""

from __future__ import annotations

import ipaddress
import re

from pydantic_core import PydanticCustomError

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?")
_ORIGIN = re.compile(r"\*|null|(?P<scheme>[a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>\d{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def network(value: str) -> str:
    """Return an IP address or network as it is. Raises `PydanticCustomError` for anything else."""
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise _wrong(value, f"no address or network of a proxy, such as 10.0.0.7 or 10.0.0.0/8 ({error})") from None
    return value


def host(value: str) -> str:
    """Return a name as a `Host` header has it, in lower case. Raises `PydanticCustomError` for anything else."""
    name = value.lower()
    if not _HOST.fullmatch(name):
        raise _wrong(value, "no host name; write it without scheme, path and wildcards, such as search.example")
    return name


def origin(value: str) -> str:
    """Return an origin as browsers write it, in lower case. Raises `PydanticCustomError` for anything else."""
    name = value.lower()
    found = _ORIGIN.fullmatch(name)
    if found is None:
        raise _wrong(value, "no origin of web pages; write it as browsers do, such as https://app.example, or *")
    if found["port"] and _DEFAULT_PORTS.get(found["scheme"]) == found["port"]:
        raise _wrong(value, f"no origin as browsers write it: they leave out the port {found['port']}")
    return name


def _wrong(value: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("address", "{value} is {why}", {"value": repr(value), "why": why})
