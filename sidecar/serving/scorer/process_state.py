"""The state of one scorer process, as status, metrics and health tell it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A scorer process on `device`: `why` it gets no work, empty if it does, and how often it was replaced."""

    device: str
    why: str
    restarts: int

    @property
    def up(self) -> bool:
        """True if it gets work."""
        return not self.why
