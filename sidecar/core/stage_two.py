"""The outcome of stage two on one ranking: the generator's answers, and why the order of stage one stays, if so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.core.reasons import Why


@dataclass(frozen=True, slots=True)
class WindowAnswer:
    """A generator's answer on the places `start` to `stop` of a ranking, from 0, and what had to be mended in it.

    `readable` is False if no order could be read, so that the window kept the one it had. `repeated` and `unknown`
    identifiers were left out; `missing` passages were not named, and follow in the order that they had. `cut` is True
    if the answer reached its largest number of tokens.
    """

    start: int
    stop: int
    text: str
    readable: bool = True
    repeated: int = 0
    unknown: int = 0
    missing: int = 0
    cut: bool = False

    @property
    def mended(self) -> bool:
        """True if an order was read, but not every passage was named exactly once."""
        return self.readable and bool(self.repeated or self.unknown or self.missing)


@dataclass(frozen=True, slots=True)
class StageTwo:
    """The outcome of stage two for the first `depth` hits of a ranking.

    `why` says why they are not, or not all, in a new order.
    """

    depth: int
    windows: tuple[WindowAnswer, ...] = ()
    why: Why | None = None

    @property
    def applied(self) -> bool:
        """True if at least one window has the generator's order."""
        return any(window.readable for window in self.windows)

    @property
    def stage(self) -> int:
        """Return whose order the ranking has: 2 for the generator's, 1 if nothing of it was applied."""
        return 2 if self.applied else 1

    @property
    def unreadable(self) -> int:
        """Return how many windows kept their order, since their answers could not be read."""
        return sum(not window.readable for window in self.windows)

    @property
    def mended(self) -> int:
        """Return how many answers did not name every passage exactly once."""
        return sum(window.mended for window in self.windows)


def count_answers(windows: Sequence[WindowAnswer]) -> dict[str, int]:
    """Count answers, and those that were mended, unreadable and cut; empty if there is none."""
    if not windows:
        return {}
    return {
        "windows": len(windows),
        "mended": sum(window.mended for window in windows),
        "unreadable": sum(not window.readable for window in windows),
        "cut": sum(window.cut for window in windows),
    }
