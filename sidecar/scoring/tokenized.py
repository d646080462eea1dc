"""A tokenised query with its passages: ready for the device, and divisible into parts. Knows no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sidecar.core.candidates import Score
from sidecar.core.errors import NonFiniteScore
from sidecar.scoring.prompt import Tokens


class TokenizedQuery(Protocol):
    """One query with passages in first-stage order."""

    @property
    def lengths(self) -> Sequence[int]:
        """Return the tokens that each passage costs; 0 if its score needs no forward pass."""
        ...

    def part(self, start: int, stop: int) -> TokenizedQuery:
        """Return only the passages from `start` up to, but not including, `stop`."""
        ...


@dataclass(frozen=True, slots=True)
class TokenizedPairs:
    """A query tokenised for a cross-encoder: one row of ids for each passage."""

    rows: Sequence[Tokens]

    @property
    def lengths(self) -> Sequence[int]:
        """Return the tokens of each pair."""
        return [len(row) for row in self.rows]

    def part(self, start: int, stop: int) -> TokenizedPairs:
        """Return some of the pairs."""
        return TokenizedPairs(self.rows[start:stop])


class TokenizesAndScores(Protocol):
    """A scorer in two steps: `read` tokenises, in any thread; `score_all` uses the device, in one thread at a time.

    So tokenising overlaps with scoring, and tokenised queries of several callers can fill one batch.
    """

    def read(self, query: str, passages: Sequence[Any]) -> Any:
        """Tokenise a query with its passages."""
        ...

    def score_all(self, tokenized: Sequence[Any]) -> list[list[Score]]:
        """Return the scores of each tokenised query, which comes from this scorer's `read`. Raises NonFiniteScore."""
        ...


def check_finite(scores: list[float], name: str) -> list[float]:
    """Return the scores, or raise NonFiniteScore if one is NaN or infinite."""
    bad = [index for index, score in enumerate(scores) if score - score != 0]
    if bad:
        raise NonFiniteScore(
            f"{name} scored {len(bad)} of {len(scores)} passages as NaN or infinity, the first at index {bad[0]}.",
            remedy="Check the weights, or use --dtype float32 (float16 overflows with some models).",
        )
    return scores
