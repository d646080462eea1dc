"""Who is let into the scorer's queue: those whose turn comes before their time is up. Pure.

Whoever can't be served in time would only take it from those who can: of twice what can be scored, earliest deadline
first finishes next to nothing. What is counted are tokens by a fair guess, since nothing is tokenised on this side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sidecar.core.candidates import Passage

# English has four to five characters a token.
CHARACTERS_PER_TOKEN = 4
# How much of what was measured before still counts beside a new measurement of the pace.
KEPT = 0.8
# The share of a budget that is planned with: paces vary, and what is half done when time is up is lost to the others.
PLANNED = 0.8


def guess_tokens(query: str, passages: Sequence[Passage]) -> list[int]:
    """About how many tokens each pair has, at least 1."""
    return [1 + (len(query) + len(one.title) + len(one.text)) // CHARACTERS_PER_TOKEN for one in passages]


@dataclass(slots=True)
class Admission:
    """The tokens that wait, by model and caller, and the seconds that one of each model takes."""

    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
    _measured: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, model: str, caller: str, tokens: int) -> None:
        """Count tokens that begin to wait, or, if negative, that no longer do."""
        self.waiting[model, caller] += tokens
        if self.waiting[model, caller] <= 0:
            del self.waiting[model, caller]

    def measured(self, model: str, tokens: int, seconds: float) -> None:
        """Learn how long a model takes, from batches that followed one another without a rest."""
        if tokens:
            before = self._measured.get(model, (0.0, 0.0))
            self._measured[model] = (KEPT * before[0] + seconds, KEPT * before[1] + tokens)

    def comes_too_late(self, model: str, caller: str, tokens: int, seconds: float) -> bool:
        """Whether tokens are not sure to be scored within `seconds`, nor have half of that time to themselves."""
        ahead = self.seconds_ahead(model, caller, tokens)
        return ahead > seconds / 2 and ahead + self._seconds(model, tokens) > PLANNED * seconds

    def seconds_ahead(self, model: str, caller: str, tokens: int) -> float:
        """How long a caller's next tokens would wait for their turn.

        Callers take turns in the queue, so one who asks for little waits for as much of each of the others at most,
        and not for all that one of them piled up.
        """
        others = {name for _, name in self.waiting if name != caller}
        own = sum(self._seconds(other, count) for (other, name), count in self.waiting.items() if name == caller)
        total = sum(self._seconds(other, count) for (other, _), count in self.waiting.items())
        return min(total, own + len(others) * (own + self._seconds(model, tokens)))

    def _seconds(self, model: str, tokens: int) -> float:
        known, of = self._measured.get(model, (0.0, 1.0))
        return known / of * tokens
