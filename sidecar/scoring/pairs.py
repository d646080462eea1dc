"""The model card's own Python face: a query and (title, passage) pairs in, (index, score) out. No engine, no fusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.candidates import Passage
from sidecar.scoring import Scorer
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.presets import DEFAULT


class PairReranker:
    """Reranks pairs with any Scorer."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def rerank(self, query: str, documents: Sequence[tuple[str, str]]) -> list[tuple[int, float]]:
        """Score every (title, passage) and return (index, score), best first; equal scores keep their order.

        Scores are raw (logits or cosines). As in the card's helper everything is scored, empty documents too; an
        empty list gives an empty list. Raises NonFiniteScore.
        """
        scores = self.scorer.score(query, [Passage(title, text) for title, text in documents])
        return sorted(enumerate(scores), key=lambda pair: (-pair[1], pair[0]))


def load_reranker(model: str = DEFAULT, **options: Any) -> PairReranker:
    """Load a preset, a directory or a hub name; the options are those of `sidecar.scoring.loading.load_scorer`."""
    return PairReranker(load_scorer(model, **options))
