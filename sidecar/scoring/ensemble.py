"""A cross-encoder and a bi-encoder together: `logit + weight · cosine` of the same passages.

With a small cross-encoder the sum ranks better than either, and it still depends on the pair alone: no other candidate
changes it, it can be stored, and pages of one list are consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.core.candidates import Passage, Score
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.chunks import MaxP, ReadsTokens
from sidecar.scoring.prompt import Prompt
from sidecar.scoring.score_mapping import Mapping


@dataclass(frozen=True, slots=True)
class TokenizedTwice:
    """The same passages, tokenised for each of the two models."""

    cross: Any
    bi: Any

    @property
    def lengths(self) -> Sequence[int]:
        """Return the tokens of each passage, for both models together."""
        return [one + other for one, other in zip(self.cross.lengths, self.bi.lengths, strict=True)]

    def part(self, start: int, stop: int) -> TokenizedTwice:
        """Return some of the passages."""
        return TokenizedTwice(self.cross.part(start, stop), self.bi.part(start, stop))


class EnsembleScorer:
    """Adds a bi-encoder's cosine, times `weight`, to a cross-encoder's logit. All else is the cross-encoder's."""

    def __init__(self, cross: ReadsTokens, bi: Scorer, weight: float) -> None:
        self.cross, self.bi, self.weight = cross, bi, weight

    @property
    def name(self) -> str:
        """Return the cross-encoder's name."""
        return self.cross.name

    @property
    def engine_name(self) -> str:
        """Return the cross-encoder's engine name."""
        return self.cross.engine_name

    @property
    def manifest(self) -> Manifest:
        """Return the cross-encoder's manifest."""
        return self.cross.manifest

    @property
    def mapping(self) -> Mapping:
        """Return the cross-encoder's mapping."""
        return self.cross.mapping

    @property
    def prompt(self) -> Prompt:
        """Return the cross-encoder's prompt."""
        return self.cross.prompt

    def instructed(self, instruction: str) -> EnsembleScorer:
        """Return the same scorer with another instruction in the cross-encoder's queries."""
        return EnsembleScorer(self.cross.instructed(instruction), self.bi, self.weight)

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Return one sum for each passage, in the order given. Raises what either scorer raises."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> TokenizedTwice:
        """Tokenise for both models."""
        return TokenizedTwice(self.cross.read(query, passages), self.bi.read(query, passages))

    def score_all(self, tokenized: Sequence[TokenizedTwice]) -> list[list[Score]]:
        """Return the sums of several queries' passages. `truncated` and the chunk are the cross-encoder's."""
        logits = self.cross.score_all([one.cross for one in tokenized])
        cosines = self.bi.score_all([one.bi for one in tokenized])
        return [
            [
                Score(one.value + self.weight * other.value, one.truncated, one.chunk, _sum(one.tokens, other.tokens))
                for one, other in zip(mine, theirs, strict=True)
            ]
            for mine, theirs in zip(logits, cosines, strict=True)
        ]


def completed(scorer: ReadsTokens, beside: Scorer | None, spec: ModelSpec) -> Scorer:
    """Return a scorer with the bi-encoder that its manifest names beside it, and with chunks if they are wanted."""
    if beside is not None and scorer.manifest.beside is not None:
        scorer = EnsembleScorer(scorer, beside, scorer.manifest.beside.weight)
    return MaxP(scorer, spec.chunking) if spec.chunking else scorer


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
