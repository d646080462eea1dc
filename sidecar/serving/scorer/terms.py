"""The terms on which passages are scored: by when, for whom, how urgently, and how their texts are read."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.read_options import AS_USUAL, ReadOptions


@dataclass(frozen=True, slots=True)
class Terms:
    """The scores are wanted within `seconds`. Callers take turns, and a lower `priority` number goes first.

    `how` says how one request wants its texts read.
    """

    seconds: float
    caller: str = ""
    priority: int = 0
    how: ReadOptions = AS_USUAL
