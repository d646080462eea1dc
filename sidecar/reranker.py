"""Score, fuse and order: candidates in, a ranking out. Fetches nothing; knows neither torch nor an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from time import perf_counter
from typing import Any, TypeVar

from sidecar.core.candidates import Candidate, Passage, Ranked, Ranking, Score, rank_scored
from sidecar.core.document_input import GivenDocument, read_documents, read_query
from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError, InputError, ScoringError
from sidecar.core.fusion import Fused, Fusion, best_first
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.relevance_cut import keep_relevant, require_calibrated
from sidecar.core.spans import ALL_SPANS, Span, SpanOptions, best_spans, pieces_of
from sidecar.core.trace import Stage
from sidecar.listwise.stage import ListwiseStage
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.presets import DEFAULT
from sidecar.scoring.prefetch import prefetch

Key = TypeVar("Key")


def arrange(query: str, candidates: Sequence[Candidate], scores: Sequence[Score | None], fusion: Fusion) -> Ranking:
    """Order the candidates: the scored ones by fused score, then those without one (None) in first-stage order.

    Ties keep first-stage order; no candidates give an empty ranking. Raises what the fusion raises.
    """
    with Stage("fuse") as stage:
        pairs = [(one, score) for one, score in zip(candidates, scores, strict=True) if score is not None]
        scored = [one for one, _ in pairs]
        fused, share = fusion.combine_with_share([score.value for _, score in pairs], scored)
        order = best_first([one.score for one in fused], scored)
        hits = [_ranked(*pairs[i], rank, fused[i]) for rank, i in enumerate(order, start=1)]
        rest = [one for one, score in zip(candidates, scores, strict=True) if score is None]
        hits += [Ranked(one, rank, None, None) for rank, one in enumerate(rest, start=len(hits) + 1)]
    return Ranking(query, tuple(hits), {"fuse": stage.seconds}, share)


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document that was scored: its position among those given, the model's raw score, and the document as given.

    `truncated` is True if the model read only part of it.
    """

    index: int
    score: float
    document: GivenDocument
    truncated: bool = False


class Reranker:
    """A scorer and a way to fuse its scores with the first stage's, by default the one that its manifest names.

    `rank_candidates` and `rank_all` are for candidates of an engine; `rank`, `arank` and `rerank` are for the caller's
    own documents, and `fields` names the fields of a record that hold title and text. Hits that are less relevant than
    `min_relevance`, a probability, are left out; 0 keeps all. With `listwise` a generator puts the first hits in order
    (stage two); the scores stay with their places. Every method may be called from any thread; the scorer
    computes for one call at a time. Raises `ConfigurationError` for a `min_relevance` outside 0 to 1, or of a model
    that is not calibrated.
    """

    def __init__(
        self,
        scorer: Scorer,
        fusion: Fusion | None = None,
        fields: PassageFields | None = None,
        *,
        min_relevance: float = 0.0,
        listwise: ListwiseStage | None = None,
    ) -> None:
        if not 0 <= min_relevance <= 1:
            raise ConfigurationError(
                f"min_relevance is {min_relevance!r}.", remedy="Give a probability between 0 and 1."
            )
        if min_relevance:
            require_calibrated(scorer.mapping, scorer.name)
        self.min_relevance = min_relevance
        self.listwise = listwise
        self.scorer = scorer
        self.fusion = fusion or scorer.manifest.preferred_fusion
        self.fields = fields or PassageFields()
        self._device = Lock()
        # Its own thread: calls that wait for the device must not fill the event loop's pool, which also resolves host
        # names.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="rerank")

    def rank_candidates(self, query: str, candidates: Sequence[Candidate]) -> Ranking:
        """Order the candidates: the scored ones by fused score, then those without text in first-stage order.

        Ties keep first-stage order; no candidates give an empty ranking. Raises `InputError` for an empty query, and
        what the scorer raises.
        """
        started = perf_counter()
        scores = self._score(read_query(query), _readable(candidates))
        ranking = self._arranged(query, candidates, scores, perf_counter() - started)
        return ranking if self.listwise is None else self.listwise.reorder(ranking)

    def rank_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """Yield the ranking of each query, with the key that came with it, in the order given.

        While one query is scored the next two are fetched and tokenised, and the caller handles the one before. Each is
        scored by itself, so the scores are those of `rank_candidates`. An error of a query is raised after the rankings
        of the queries before it.
        """
        ranked = self._ranked_all(asked)
        return ranked if self.listwise is None else self.listwise.reorder_all(ranked)

    def _ranked_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """Do what `rank_all` does, without stage two."""

        def read(one: tuple[Key, str, Sequence[Candidate]]) -> Any:
            _, query, candidates = one
            passages, text = _readable(candidates), read_query(query)
            return self.scorer.read(text, passages) if passages else None

        def score(item: tuple[Any, Any]) -> tuple[list[Score], float]:
            _, tokenized = item
            started = perf_counter()
            with self._device:
                scores = [] if tokenized is None else self.scorer.score_all([tokenized])[0]
            return scores, perf_counter() - started

        for ((key, query, candidates), _), (scores, seconds) in prefetch(prefetch(asked, read), score, ahead=1):
            yield key, self._arranged(query, candidates, scores, seconds)

    def rank(self, query: str, documents: Iterable[GivenDocument], *, top_k: int | None = None) -> list[RankedDocument]:
        """Score documents and return the `top_k` best (None: all), best first; equal scores keep their order.

        A document is a text, a (title, text) pair, a record (`fields` names its title and text) or a `Passage`. Scores
        are the model's raw ones: there is no first stage to fuse with. Empty texts are scored like any other. If stage
        two puts the first documents in another order, the scores stay with their places. Raises `InputError` for an
        empty query, and for what has no text to read, naming its position; and what the models raise.
        """
        if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1):
            raise InputError(
                f"top_k is {top_k!r}, not a number from 1 on.", remedy="Leave it out to get all documents."
            )
        text = read_query(query)
        given, passages = read_documents(documents, self.fields)
        scores = self._score(text, passages)
        kept = [i for i in range(len(given)) if self._is_relevant(scores[i])]
        order = sorted(kept, key=lambda index: (-scores[index].value, index))
        found = [RankedDocument(i, scores[i].value, given[i], scores[i].truncated) for i in order]
        if self.listwise is not None:
            found = _reordered(text, found, passages, self.listwise)
        return found[:top_k]

    async def arank(
        self, query: str, documents: Iterable[GivenDocument], *, top_k: int | None = None
    ) -> list[RankedDocument]:
        """Do what `rank` does, in a thread, without blocking the event loop; calls are scored one after the other."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, lambda: self.rank(query, documents, top_k=top_k))

    def rerank(self, query: str, documents: Iterable[GivenDocument]) -> list[tuple[int, float]]:
        """Return (index, score) of every document, best first, as the DeAR model cards' helper; like `rank`."""
        return [(found.index, found.score) for found in self.rank(query, documents)]

    def spans(self, query: str, passages: Sequence[Passage], wanted: SpanOptions = ALL_SPANS) -> list[list[Span]]:
        """Return the sentences of each passage that answer the query best, best first.

        Positions count code points of the passage's text. Passages after the first `MOST_OF_A_REQUEST` sentences have
        none. Raises what `rank_candidates` raises.
        """
        pieces = [own or [] for own in pieces_of(passages)]
        parts = [
            Passage(passage.title, passage.text[start:end])
            for passage, own in zip(passages, pieces, strict=True)
            for start, end in own
        ]
        scores = iter(self._score(read_query(query), parts))
        mapping = self.scorer.mapping
        return [best_spans(own, [mapping(next(scores).value) for _ in own], wanted) for own in pieces]

    def _score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        with self._device:
            scores = self.scorer.score(query, passages) if passages else []
        self._check_count(scores, len(passages))
        return scores

    def _arranged(self, query: str, candidates: Sequence[Candidate], found: Sequence[Score], seconds: float) -> Ranking:
        self._check_count(found, len(_readable(candidates)))
        rest = iter(found)
        scores = [None if candidate.passage.is_empty else next(rest) for candidate in candidates]
        ranking = arrange(query, candidates, scores, self.fusion)
        if self.min_relevance:
            ranking = keep_relevant(ranking, self.min_relevance, self.scorer.mapping)
        return replace(ranking, seconds={"score": seconds, **ranking.seconds})

    def _is_relevant(self, score: Score) -> bool:
        return not self.min_relevance or self.scorer.mapping(score.value) >= self.min_relevance

    def _check_count(self, scores: Sequence[Score], passages: int) -> None:
        if len(scores) != passages:
            raise ScoringError(f"{self.scorer.name} gave {len(scores)} scores for {passages} passages.")


def _readable(candidates: Sequence[Candidate]) -> list[Passage]:
    return [candidate.passage for candidate in candidates if not candidate.passage.is_empty]


def _ranked(candidate: Candidate, score: Score, rank: int, fused: Fused) -> Ranked:
    return Ranked(candidate, rank, fused.score, score.value, score.truncated, score.chunk, fused.normalized)


def _reordered(
    query: str, documents: Sequence[RankedDocument], passages: Sequence[Passage], stage: ListwiseStage
) -> list[RankedDocument]:
    """Put scored documents in the order of stage two."""
    ranking = stage.reorder(
        rank_scored(query, [passages[one.index] for one in documents], [one.score for one in documents])
    )
    moved = [documents[hit.candidate.rank - 1] for hit in ranking.hits]
    return [replace(one, score=place.score) for one, place in zip(moved, documents, strict=True)]


def load_reranker(
    model: str = DEFAULT,
    *,
    fusion: Fusion | None = None,
    fields: PassageFields | None = None,
    min_relevance: float = 0.0,
    listwise: ListwiseSpec | str | None = None,
    **options: Any,
) -> Reranker:
    """Load a preset, a directory or a hub name; `options` are the fields of `ModelSpec`.

    `fusion` takes the place of the one that the model's manifest names. `fields` names the fields of a record that
    hold title and text. Hits that are less relevant than `min_relevance` are left out, which only a calibrated model
    can tell. `listwise` is the generator of stage two: its name, or a `ListwiseSpec`. Raises a `ModelError`,
    `ScorerUnavailable` if no server answers, or `ConfigurationError` for an option that contradicts the model.
    """
    from sidecar.scoring.loading import load_scorer

    stage = None
    if listwise is not None:
        from sidecar.listwise.loading import load_listwise

        stage = load_listwise(listwise)
    scorer = load_scorer(model, **options)
    return Reranker(scorer, fusion, fields, min_relevance=min_relevance, listwise=stage)
