"""A scorer process without a model: every passage scores 1, so the first stage's order stays.

    python -m benchmarks.identity_scorer

A search through it costs only the sidecar's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.core.candidates import Passage, Score
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.score_mapping import Mapping
from sidecar.serving.scorer.worker import run


@dataclass(frozen=True, slots=True)
class Unread:
    """A number of passages without tokens."""

    count: int

    @property
    def lengths(self) -> Sequence[int]:
        """Return zeros: nothing goes to a device."""
        return [0] * self.count

    def part(self, start: int, stop: int) -> Unread:
        """Return some of the passages."""
        return Unread(min(stop, self.count) - start)


class Fixed:
    """Scorers that never change: one is made for each declared name."""

    def __init__(self, names: Iterable[str], make: Callable[[], Any]) -> None:
        self.scorers = {name: make() for name in names}

    def reload(self, name: str, prove: object) -> Any:
        """Return the scorer unchanged."""
        del prove
        return self.scorers[name]


class Identity:
    """Gives every passage the same score, at once."""

    name = engine_name = "identity"
    mapping = Mapping()
    manifest = Manifest()

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Give each passage the same score."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> Unread:
        """Count the passages."""
        del query
        return Unread(len(passages))

    def score_all(self, readings: Sequence[Unread]) -> list[list[Score]]:
        """Give each passage the same score."""
        return [[Score(1.0)] * reading.count for reading in readings]


if __name__ == "__main__":
    run(lambda load: Fixed(load.models, Identity))
