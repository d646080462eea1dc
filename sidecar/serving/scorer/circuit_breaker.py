"""When to stop asking a scorer that keeps failing. Pure; the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class CircuitBreaker:
    """Opens after `failures` failures in a row, and lets one request through every `pause` seconds until one succeeds.

    So a scorer that is broken costs one request in a while its time-out, not every request.
    """

    failures: int
    pause: float
    _in_a_row: int = field(default=0, init=False)
    _opened_at: float = field(default=0.0, init=False)

    def allows(self, now: float) -> bool:
        """Whether to ask; while open, one caller in each pause is told yes."""
        if self._in_a_row < self.failures:
            return True
        if now - self._opened_at < self.pause:
            return False
        self._opened_at = now
        return True

    def succeeded(self) -> None:
        """The scorer answered: close."""
        self._in_a_row = 0

    def failed(self, now: float) -> None:
        """The scorer failed."""
        self._in_a_row += 1
        if self._in_a_row == self.failures:
            self._opened_at = now

    @property
    def open(self) -> bool:
        """Whether requests are being refused."""
        return self._in_a_row >= self.failures
