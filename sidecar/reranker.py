"""The whole story: candidates in, ranking out. It fetches nothing and knows neither torch nor an engine."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from sidecar.candidates import Candidate, Ranked, Ranking
from sidecar.errors import InputError, ScoringError
from sidecar.fusion import Fusion, best_first
from sidecar.scoring import Scorer


class Reranker:
    """A scorer and a way to fuse its scores with the first stage's."""

    def __init__(self, scorer: Scorer, fusion: Fusion | None = None) -> None:
        self.scorer = scorer
        self.fusion = fusion or Fusion()

    def rerank(self, query: str, candidates: Sequence[Candidate]) -> Ranking:
        """Order the candidates: the scored ones by fused score, then those without text in first-stage order.

        Ties keep first-stage order; no candidates give an empty ranking. Raises `InputError` for an empty query, and
        what the scorer raises.
        """
        if not query.strip():
            raise InputError("the query is empty.", remedy="Give the words to search for.")
        started = perf_counter()
        readable = [candidate for candidate in candidates if not candidate.passage.is_empty]
        unreadable = [candidate for candidate in candidates if candidate.passage.is_empty]
        logits = self._score(query, readable)
        scored_at = perf_counter()
        fused = self.fusion.fuse(logits, readable)
        hits = [
            Ranked(readable[i], rank, fused[i], logits[i])
            for rank, i in enumerate(best_first(fused, readable), start=1)
        ]
        hits += [Ranked(candidate, rank, None, None) for rank, candidate in enumerate(unreadable, start=len(hits) + 1)]
        seconds = {"score": scored_at - started, "fuse": perf_counter() - scored_at}
        return Ranking(query, tuple(hits), seconds)

    def _score(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        logits = self.scorer.score(query, [candidate.passage for candidate in candidates]) if candidates else []
        if len(logits) != len(candidates):
            raise ScoringError(f"{self.scorer.name} gave {len(logits)} scores for {len(candidates)} passages.")
        return logits
