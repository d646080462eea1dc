"""Which engine answers `GET /`, and its version. No I/O.

Elasticsearch names a `build_flavor`, OpenSearch its `distribution`. An OpenSearch that shows itself as 7.10.2 to older
clients (`compatibility.override_main_response_version`) names neither.
"""

from __future__ import annotations

import msgspec


class _Version(msgspec.Struct):
    number: str = ""
    distribution: str = ""
    build_flavor: str = ""


class Product(msgspec.Struct):
    """The engine of a cluster, as it answers `GET /`."""

    version: _Version
    cluster_name: str = ""

    @property
    def name(self) -> str:
        """Return `OpenSearch` or `Elasticsearch`."""
        return "Elasticsearch" if self.version.build_flavor and not self.version.distribution else "OpenSearch"


def product_in(body: bytes) -> Product | None:
    """Read an answer to `GET /`; None if it is none of OpenSearch's or Elasticsearch's."""
    try:
        found = msgspec.json.decode(body, type=Product)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.version.number else None
