"""Lists of names in messages. No I/O."""

from __future__ import annotations

from collections.abc import Sequence


def some_of(names: Sequence[str], most: int = 5) -> str:
    """Return the first names with commas between, and an ellipsis if there are more."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
