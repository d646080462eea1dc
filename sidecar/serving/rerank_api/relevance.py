"""Format numbers so that every client can read them. No I/O."""

from __future__ import annotations


def plain(value: float) -> float:
    """Round to nine significant digits: OpenSearch fails to read a literal of 19 characters or more as a Double.

    Written as JSON the result is never an integer and at most 17 characters long.
    """
    return float(f"{value:.9g}")
