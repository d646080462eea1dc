"""Grades of relevance: whole numbers, in any notation of a file."""

from __future__ import annotations

import re

# No collection has larger ones; evaluators compute with 32 bits.
_LARGEST = 10**9
_WHOLE = re.compile(r"[+-]?\d{1,9}(\.0*)?", re.ASCII)


def whole_grade(value: object) -> int | None:
    """Return a grade as an integer: of 2, 2.0, "2", "2.0" and booleans. None for anything else; nothing is rounded."""
    if isinstance(value, bool | int | float):
        return int(value) if abs(value) < _LARGEST and value == int(value) else None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    return None
