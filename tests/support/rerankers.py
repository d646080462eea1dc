"""Rerankers without a model, whose order a test can write down."""

from __future__ import annotations

from sidecar.core.candidates import Ranked, Ranking


class ByLength:
    """Scores a passage by the length of its text, less 60: some scores are negative, some equal."""

    def rank_candidates(self, query, candidates):
        scored = [(c, len(c.passage.text) - 60.0) for c in candidates if not c.passage.is_empty]
        scored.sort(key=lambda pair: (-pair[1], pair[0].rank))
        hits = [Ranked(c, rank, score, score) for rank, (c, score) in enumerate(scored, 1)]
        empty = [c for c in candidates if c.passage.is_empty]
        hits += [Ranked(c, rank, None, None) for rank, c in enumerate(empty, len(hits) + 1)]
        return Ranking(query, tuple(hits), {})


class InOrder:
    """Scores every candidate by its place, so that the first stage's order stays, or is turned round."""

    def __init__(self, *, turned: bool = False) -> None:
        self.turned = turned

    def rank_candidates(self, query, candidates):
        order = list(reversed(candidates)) if self.turned else list(candidates)
        scores = [len(order) / 2 - place for place in range(len(order))]
        hits = [Ranked(c, rank, s, s) for rank, (c, s) in enumerate(zip(order, scores, strict=True), start=1)]
        return Ranking(query, tuple(hits), {})


class Identity:
    """Keeps the first stage's order, and what it was shown."""

    def rank_candidates(self, query, candidates):
        self.seen = list(candidates)
        return Ranking(query, tuple(Ranked(c, c.rank, c.score, c.score) for c in candidates), {})
