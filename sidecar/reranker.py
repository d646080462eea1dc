"""The whole story: candidates in, ranking out. It fetches nothing and knows neither torch nor an engine."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from sidecar.candidates import Candidate, Passage, Ranked, Ranking, Score
from sidecar.errors import InputError, ScoringError
from sidecar.fusion import Fused, Fusion, best_first
from sidecar.scoring import Scorer


class Reranker:
    """A scorer and a way to fuse its scores with the first stage's: what every door leads to.

    `rank` is for candidates of an engine; `rerank` is the model cards' face, for plain passages.
    """

    def __init__(self, scorer: Scorer, fusion: Fusion | None = None) -> None:
        self.scorer = scorer
        self.fusion = fusion or Fusion()

    def rank(self, query: str, candidates: Sequence[Candidate]) -> Ranking:
        """Order the candidates: the scored ones by fused score, then those without text in first-stage order.

        Ties keep first-stage order; no candidates give an empty ranking. Raises `InputError` for an empty query, and
        what the scorer raises.
        """
        started = perf_counter()
        readable = [candidate for candidate in candidates if not candidate.passage.is_empty]
        unreadable = [candidate for candidate in candidates if candidate.passage.is_empty]
        scores = self._score(query, [candidate.passage for candidate in readable])
        scored_at = perf_counter()
        fused = self.fusion.combine([score.value for score in scores], readable)
        order = best_first([one.score for one in fused], readable)
        hits = [_ranked(readable[i], rank, scores[i], fused[i]) for rank, i in enumerate(order, start=1)]
        hits += [Ranked(candidate, rank, None, None) for rank, candidate in enumerate(unreadable, start=len(hits) + 1)]
        seconds = {"score": scored_at - started, "fuse": perf_counter() - scored_at}
        return Ranking(query, tuple(hits), seconds)

    def rerank(self, query: str, documents: Sequence[tuple[str, str]]) -> list[tuple[int, float]]:
        """Score every (title, passage) and return (index, score), best first; equal scores keep their order.

        The helper of the DeAR model cards: scores are the model's raw ones, empty documents are scored like any other,
        an empty list gives an empty list, and there is no first stage to fuse with. Raises as `rank` does.
        """
        scores = self._score(query, [Passage(title, text) for title, text in documents])
        return sorted(((i, score.value) for i, score in enumerate(scores)), key=lambda pair: (-pair[1], pair[0]))

    def _score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        if not query.strip():
            raise InputError("the query is empty.", remedy="Give the words to search for.")
        scores = self.scorer.score(query, passages) if passages else []
        if len(scores) != len(passages):
            raise ScoringError(f"{self.scorer.name} gave {len(scores)} scores for {len(passages)} passages.")
        return scores


def _ranked(candidate: Candidate, rank: int, score: Score, fused: Fused) -> Ranked:
    return Ranked(candidate, rank, fused.score, score.value, score.truncated, score.chunk, fused.normalized)


def load_reranker(model: str = "minilm", *, fusion: Fusion | None = None, **options: Any) -> Reranker:
    """Load a preset, a directory or a hub name; `options` are those of `sidecar.scoring.loading.load_scorer`.

    Raises a `ModelError`, or `ConfigurationError` for an option that contradicts the model.
    """
    from sidecar.scoring.loading import load_scorer

    return Reranker(load_scorer(model, **options), fusion)
