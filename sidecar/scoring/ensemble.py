"""A cross-encoder with a bi-encoder beside it: `logit + weight · cosine`, both from one reading of the passages.

A sum of the two ranks better than either where the cross-encoder is small, and stays a score of the pair alone: it
depends on no other candidate, can be remembered, and pages of one list fit together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.core.candidates import Passage, Score
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.chunks import ReadsTokens
from sidecar.scoring.prompt import Prompt
from sidecar.scoring.score_mapping import Mapping


@dataclass(frozen=True, slots=True)
class TokenizedTwice:
    """The same passages as either model has read them."""

    cross: Any
    bi: Any

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each passage, for both models together."""
        return [one + other for one, other in zip(self.cross.lengths, self.bi.lengths, strict=True)]

    def part(self, start: int, stop: int) -> TokenizedTwice:
        """Some of the passages."""
        return TokenizedTwice(self.cross.part(start, stop), self.bi.part(start, stop))


class EnsembleScorer:
    """Adds a bi-encoder's cosine, `weight` times, to a cross-encoder's logit. All else is the cross-encoder's."""

    def __init__(self, cross: ReadsTokens, bi: Scorer, weight: float) -> None:
        self.cross, self.bi, self.weight = cross, bi, weight

    @property
    def name(self) -> str:
        """The cross-encoder's."""
        return self.cross.name

    @property
    def engine_name(self) -> str:
        """The cross-encoder's."""
        return self.cross.engine_name

    @property
    def manifest(self) -> Manifest:
        """The cross-encoder's."""
        return self.cross.manifest

    @property
    def mapping(self) -> Mapping:
        """The cross-encoder's."""
        return self.cross.mapping

    @property
    def prompt(self) -> Prompt:
        """The cross-encoder's."""
        return self.cross.prompt

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """One sum for each passage, in the order given. Raises what either scorer raises."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> TokenizedTwice:
        """Tokenise for both."""
        return TokenizedTwice(self.cross.read(query, passages), self.bi.read(query, passages))

    def score_all(self, tokenized: Sequence[TokenizedTwice]) -> list[list[Score]]:
        """Sums of several queries' passages. `truncated` and the chunk are the cross-encoder's."""
        logits = self.cross.score_all([one.cross for one in tokenized])
        cosines = self.bi.score_all([one.bi for one in tokenized])
        return [
            [
                Score(one.value + self.weight * other.value, one.truncated, one.chunk)
                for one, other in zip(mine, theirs, strict=True)
            ]
            for mine, theirs in zip(logits, cosines, strict=True)
        ]
