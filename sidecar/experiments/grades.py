"""Grades of relevance: whole numbers, however a file writes them."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)


def whole_grade(value: object) -> int | None:
    """A grade as an integer: of 2, 2.0, "2", "2.0" and of booleans. None for anything else; nothing is rounded."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return None
