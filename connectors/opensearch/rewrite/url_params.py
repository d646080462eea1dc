"""A URL's parameters as OpenSearch reads them. Pure."""

from __future__ import annotations

from urllib.parse import parse_qsl


def url_params(query: str) -> dict[str, str]:
    """Read a query string, its bytes as Latin-1: `;` separates as `&` does, and the last value of a name counts."""
    return dict(parse_qsl(query.replace(";", "&"), keep_blank_values=True))
