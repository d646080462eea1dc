"""Stop asking a scorer, local or remote, that keeps failing. No I/O; the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class CircuitBreaker:
    """Opens after `failures` failures in a row; then one request each `pause` seconds passes until one succeeds.

    So a broken scorer costs only occasional requests a time-out, not every request.
    """

    failures: int
    pause: float
    _in_a_row: int = field(default=0, init=False)
    _opened_at: float = field(default=0.0, init=False)

    def allows(self, now: float) -> bool:
        """True if the scorer may be asked; while open, this is True once in each pause."""
        if self._in_a_row < self.failures:
            return True
        if now - self._opened_at < self.pause:
            return False
        self._opened_at = now
        return True

    def succeeded(self) -> None:
        """Close: the scorer answered."""
        self._in_a_row = 0

    def failed(self, now: float) -> None:
        """Count a failure of the scorer."""
        self._in_a_row += 1
        if self._in_a_row == self.failures:
            self._opened_at = now

    @property
    def open(self) -> bool:
        """True if requests are being refused."""
        return self._in_a_row >= self.failures
