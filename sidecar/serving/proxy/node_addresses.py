"""Replaces the addresses in answers to `GET /_nodes` by the sidecar's own: clients that sniff connect to them.

No I/O; everything but the addresses keeps its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from connectors.opensearch import raw_json
from sidecar.core.errors import ConfigurationError

# Node information, for any nodes and metrics; statistics and hot threads hold no address to connect to.
_NODE_INFO = re.compile(rb"/+_nodes(/+(?!stats|usage|hot_threads|reload_secure_settings)[^/]+){0,2}/*")
# A host name, an IPv4 address or an IPv6 one in brackets, and a port.
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_PUBLISHED, _BOUND = "publish_address", "bound_address"
_PORTS = {"http": 80, "https": 443}


def tells_addresses(method: str, raw_path: bytes) -> bool:
    """Tell whether a request reads node information."""
    return method == "GET" and _NODE_INFO.fullmatch(raw_path) is not None


def check_address(address: str) -> str:
    """Return `HOST:PORT` as it is. Raises `ConfigurationError` for anything else."""
    if not _ADDRESS.fullmatch(address):
        raise ConfigurationError(
            f"{address!r} is no address to tell clients.", remedy="Set advertised_address to auto, off or HOST:PORT."
        )
    return address


def address_in(host: bytes, scheme: str) -> str | None:
    """Return the address that a client used, from its `Host`; None if that names none."""
    named = host.decode("latin-1")
    address = named if re.search(r":\d+$", named) else f"{named}:{_PORTS[scheme]}"
    return address if _ADDRESS.fullmatch(address) else None


def with_address(body: bytes, address: str) -> bytes:
    """Write `address` as each node's HTTP address; a body that is not node information stays as it is."""
    try:
        top = raw_json.members(body)
        if "nodes" not in top:
            return body
        nodes = {name: _with_address(node, address) for name, node in raw_json.members(top["nodes"]).items()}
        return raw_json.joined(top | {"nodes": msgspec.Raw(raw_json.joined(nodes))})
    except raw_json.Malformed:
        return body


def _with_address(node: msgspec.Raw, address: str) -> msgspec.Raw:
    """Rewrite the addresses of one node."""
    parts = raw_json.members(node)
    if "http" not in parts:
        return node
    http = raw_json.members(parts["http"])
    return msgspec.Raw(
        raw_json.joined(parts | {"http": msgspec.Raw(raw_json.joined(http | _addresses(http, address)))})
    )


def _addresses(http: Mapping[str, msgspec.Raw], address: str) -> dict[str, msgspec.Raw]:
    addresses = {_PUBLISHED: msgspec.json.encode(address), _BOUND: msgspec.json.encode([address])}
    return {name: msgspec.Raw(value) for name, value in addresses.items() if name in http}
