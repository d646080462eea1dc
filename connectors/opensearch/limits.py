"""The largest window an index allows (`max_result_window`): read off OpenSearch's refusal, remembered for a while."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

# A limit is rarely raised; where it was, one search in five minutes is all that it costs to find out.
SECONDS = 300.0
# Indexes are named by callers, so what is remembered of them must have an end.
MOST = 1000

_TOO_LARGE = re.compile(r"Result window is too large, from \+ size must be less than or equal to: \[(\d{1,10})\]")


def limit_in(refusal: str) -> int | None:
    """Read the limit off a refusal's words, None for one of another kind."""
    found = _TOO_LARGE.search(refusal)
    return int(found[1]) if found and int(found[1]) > 0 else None


class Limits:
    """What was met lately, by whatever names an index; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._met: dict[object, tuple[int, float]] = {}

    def window(self, index: object, wanted: int) -> int:
        """The window to ask for: as large as wanted, if that was not refused lately."""
        limit, until = self._met.get(index, (wanted, 0.0))
        return min(limit, wanted) if self._clock() < until else wanted

    def remember(self, index: object, limit: int | None) -> None:
        """Keep a limit that was met; the oldest are forgotten first."""
        if limit is None:
            return
        self._met.pop(index, None)
        self._met[index] = (limit, self._clock() + SECONDS)
        while len(self._met) > MOST:
            self._met.pop(next(iter(self._met)), None)
