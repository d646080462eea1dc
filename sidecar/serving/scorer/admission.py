"""Decide who is admitted to the scorer's queue: requests whose turn comes before their deadline. No I/O.

A request that can't be served in time would only delay others: with twice the work that can be done, scheduling by
earliest deadline finishes almost nothing. Tokens are estimated, since nothing is tokenised in this process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sidecar.core.errors import ScorerBusy

# The weight of earlier measurements of the pace beside a new one.
KEPT = 0.8
# The share of the time to plan for: paces vary, and work that is unfinished at the deadline is wasted.
PLANNED = 0.8


@dataclass(slots=True)
class Admission:
    """The waiting tokens, by model and caller, and the seconds for one token of each model."""

    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
    _measured: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, model: str, caller: str, tokens: int) -> None:
        """Count tokens that start to wait or, if negative, no longer wait."""
        self.waiting[model, caller] += tokens
        if self.waiting[model, caller] <= 0:
            del self.waiting[model, caller]

    def measured(self, model: str, tokens: int, seconds: float) -> None:
        """Learn a model's pace, from consecutive batches without a pause between them."""
        if tokens:
            before = self._measured.get(model, (0.0, 0.0))
            self._measured[model] = (KEPT * before[0] + seconds, KEPT * before[1] + tokens)

    def check(  # noqa: PLR0913  independent figures, by keyword
        self,
        model: str,
        caller: str,
        tokens: Sequence[int],
        *,
        seconds: float,
        waiting: int,
        most: int,
        scorers: int = 1,
    ) -> None:
        """Raise `ScorerBusy` for passages that can't be scored within `seconds`, or with which more than `most` wait.

        `tokens` are those of each passage, `waiting` the passages that wait already. With several `scorers`, which
        score at the same time, the pace is that of one.
        """
        message, total = f"{waiting} passages wait to be scored already", sum(tokens)
        if waiting + len(tokens) > most:
            raise ScorerBusy(message)
        if self.comes_too_late(model, caller, total, scorers * seconds):
            raise ScorerBusy(f"{message}, {self.seconds_ahead(model, caller, total) / scorers:.1f} s of work")

    def comes_too_late(self, model: str, caller: str, tokens: int, seconds: float) -> bool:
        """True if the tokens may not be scored within `seconds`, and would wait for more than half of that time."""
        ahead = self.seconds_ahead(model, caller, tokens)
        return ahead > seconds / 2 and ahead + self._seconds(model, tokens) > PLANNED * seconds

    def seconds_ahead(self, model: str, caller: str, tokens: int) -> float:
        """Return how long a caller's next tokens would wait for their turn.

        Callers take turns in the queue. So a caller with little work waits at most for as much work of each other
        caller, not for all that one of them has queued.
        """
        others = {name for _, name in self.waiting if name != caller}
        own = sum(self._seconds(other, count) for (other, name), count in self.waiting.items() if name == caller)
        total = sum(self._seconds(other, count) for (other, _), count in self.waiting.items())
        return min(total, own + len(others) * (own + self._seconds(model, tokens)))

    def _seconds(self, model: str, tokens: int) -> float:
        known, of = self._measured.get(model, (0.0, 1.0))
        return known / of * tokens
