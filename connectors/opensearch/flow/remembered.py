"""A bounded store of facts that are remembered for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

# Index expressions with dates in them are new every day, and callers may be, too.
MOST = 1000


class Remembered(Generic[Value]):
    """Facts by key, each kept for `seconds`, and at most the `most` learnt last; `clock` counts seconds."""

    def __init__(self, seconds: float, *, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._keeping = threading.Lock()
        self._facts: dict[object, tuple[Value, float]] = {}

    def get(self, key: object) -> Value | None:
        """Return the value that is remembered by that key, None if there is none."""
        fact = self._facts.get(key)
        return fact[0] if fact is not None and self._clock() < fact[1] else None

    def keep(self, key: object, value: Value) -> None:
        """Remember a fact from now on; the oldest are forgotten first."""
        with self._keeping:  # searches are worked on in two threads
            self._facts.pop(key, None)
            self._facts[key] = (value, self._clock() + self._seconds)
            while len(self._facts) > self._most:
                self._facts.pop(next(iter(self._facts)), None)
