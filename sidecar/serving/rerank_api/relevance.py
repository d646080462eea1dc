"""Numbers as every client can read them. Pure."""

from __future__ import annotations


def plain(value: float) -> float:
    """Round to nine significant digits: OpenSearch reads a literal of 19 characters or more as no Double, and fails.

    Written as JSON the result is never an integer and at most 17 characters long.
    """
    return float(f"{value:.9g}")
