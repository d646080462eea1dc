"""Environment variables that Kubernetes sets for the Services of a namespace ("service links").

A Service named `sidecar` gives every pod beside it `SIDECAR_SERVICE_HOST`, `SIDECAR_PORT=tcp://10.0.0.1:9280` and so
on, in the form of Docker's legacy container links. They look like settings, but nobody set them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

_ADDRESS = re.compile(r"(TCP|UDP|SCTP)://(\d+\.\d+\.\d+\.\d+|\[[0-9A-F:.]+\]):\d+", re.IGNORECASE)
_SERVICE = r"[A-Z][A-Z0-9_]*"


def _is_address(value: str) -> bool:
    return _ADDRESS.fullmatch(value) is not None


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdecimal()


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


# The shape of a name, and what its value has to look like: a name alone may be a misspelled setting.
_SHAPES = (
    (re.compile(rf"{_SERVICE}_SERVICE_HOST"), _is_ip),
    (re.compile(rf"{_SERVICE}_SERVICE_PORT(_[A-Z0-9_]+)?"), _is_number),
    (re.compile(rf"{_SERVICE}_PORT"), _is_address),
    (re.compile(rf"{_SERVICE}_PORT_\d+_(TCP|UDP|SCTP)"), _is_address),
    (re.compile(rf"{_SERVICE}_PORT_\d+_(TCP|UDP|SCTP)_PROTO"), re.compile("tcp|udp|sctp").fullmatch),
    (re.compile(rf"{_SERVICE}_PORT_\d+_(TCP|UDP|SCTP)_PORT"), _is_number),
    (re.compile(rf"{_SERVICE}_PORT_\d+_(TCP|UDP|SCTP)_ADDR"), _is_ip),
)


def service_links(environ: Mapping[str, str], prefix: str) -> list[str]:
    """Return the names with this prefix that have both the name and the value of a service link, in order."""
    named = sorted(name for name in environ if name.startswith(prefix))
    return [name for name in named if _is_link(name, environ[name])]


def _is_link(name: str, value: str) -> bool:
    return any(shape.fullmatch(name) and fits(value) for shape, fits in _SHAPES)
