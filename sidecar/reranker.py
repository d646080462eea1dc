"""The whole story: candidates in, ranking out. It fetches nothing and knows neither torch nor an engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, TypeVar

from sidecar.candidates import Candidate, Passage, Ranked, Ranking, Score
from sidecar.errors import InputError, ScoringError
from sidecar.fusion import Fused, Fusion, best_first
from sidecar.scoring import Scorer
from sidecar.scoring.ahead import read_ahead
from sidecar.scoring.presets import DEFAULT

Key = TypeVar("Key")


def arrange(query: str, candidates: Sequence[Candidate], scores: Sequence[Score | None], fusion: Fusion) -> Ranking:
    """Order the candidates: the scored ones by fused score, then those without one (None) in first-stage order.

    Ties keep first-stage order; no candidates give an empty ranking. Raises what the fusion raises.
    """
    started = perf_counter()
    pairs = [(one, score) for one, score in zip(candidates, scores, strict=True) if score is not None]
    scored = [one for one, _ in pairs]
    fused = fusion.combine([score.value for _, score in pairs], scored)
    order = best_first([one.score for one in fused], scored)
    hits = [_ranked(*pairs[i], rank, fused[i]) for rank, i in enumerate(order, start=1)]
    rest = [one for one, score in zip(candidates, scores, strict=True) if score is None]
    hits += [Ranked(one, rank, None, None) for rank, one in enumerate(rest, start=len(hits) + 1)]
    return Ranking(query, tuple(hits), {"fuse": perf_counter() - started})


class Reranker:
    """A scorer and a way to fuse its scores with the first stage's: what every door leads to.

    `rank` is for candidates of an engine, `rank_all` for many queries; `rerank` is the model cards' face, for plain
    passages.
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
        return self._arranged(query, candidates, self._score(query, _readable(candidates)), started)

    def rank_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """`rank` of many queries, each under the key that came with it, in the order given.

        While one is scored the next two are taken and tokenised. Each is scored by itself, so the scores are those of
        `rank`. What goes wrong with a query is raised after the rankings of those before it.
        """

        def read(one: tuple[Key, str, Sequence[Candidate]]) -> Any:
            _, query, candidates = one
            passages = _readable(candidates)
            _check(query)
            return self.scorer.read(query, passages) if passages else None

        for (key, query, candidates), reading in read_ahead(asked, read):
            started = perf_counter()
            scores = [] if reading is None else self.scorer.score_all([reading])[0]
            yield key, self._arranged(query, candidates, scores, started)

    def rerank(self, query: str, documents: Sequence[tuple[str, str]]) -> list[tuple[int, float]]:
        """Score every (title, passage) and return (index, score), best first; equal scores keep their order.

        The helper of the DeAR model cards: scores are the model's raw ones, empty documents are scored like any other,
        an empty list gives an empty list, and there is no first stage to fuse with. Raises as `rank` does.
        """
        scores = self._score(query, [Passage(title, text) for title, text in documents])
        return sorted(((i, score.value) for i, score in enumerate(scores)), key=lambda pair: (-pair[1], pair[0]))

    def _score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        _check(query)
        scores = self.scorer.score(query, passages) if passages else []
        self._check_count(scores, len(passages))
        return scores

    def _arranged(self, query: str, candidates: Sequence[Candidate], found: Sequence[Score], started: float) -> Ranking:
        self._check_count(found, len(_readable(candidates)))
        rest = iter(found)
        scores = [None if candidate.passage.is_empty else next(rest) for candidate in candidates]
        scored_at = perf_counter()
        ranking = arrange(query, candidates, scores, self.fusion)
        return replace(ranking, seconds={"score": scored_at - started, **ranking.seconds})

    def _check_count(self, scores: Sequence[Score], passages: int) -> None:
        if len(scores) != passages:
            raise ScoringError(f"{self.scorer.name} gave {len(scores)} scores for {passages} passages.")


def _check(query: str) -> None:
    if not query.strip():
        raise InputError("the query is empty.", remedy="Give the words to search for.")


def _readable(candidates: Sequence[Candidate]) -> list[Passage]:
    return [candidate.passage for candidate in candidates if not candidate.passage.is_empty]


def _ranked(candidate: Candidate, score: Score, rank: int, fused: Fused) -> Ranked:
    return Ranked(candidate, rank, fused.score, score.value, score.truncated, score.chunk, fused.normalized)


def load_reranker(model: str = DEFAULT, *, fusion: Fusion | None = None, **options: Any) -> Reranker:
    """Load a preset, a directory or a hub name; `options` are those of `sidecar.scoring.loading.load_scorer`.

    Raises a `ModelError`, or `ConfigurationError` for an option that contradicts the model.
    """
    from sidecar.scoring.loading import load_scorer

    return Reranker(load_scorer(model, **options), fusion)
