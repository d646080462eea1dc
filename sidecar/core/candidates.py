"""The types shared by all packages: a query's candidates on their way from the first stage to the response.

This module knows no engine, model or file format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sidecar.core.reasons import Why
from sidecar.core.stage_two import StageTwo

Native = TypeVar("Native")
Request = TypeVar("Request", contravariant=True)
Response = TypeVar("Response", covariant=True)
Kept = TypeVar("Kept")
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class TextPart:
    """The part of a passage's text that came from one field: its characters from `start` up to `end`."""

    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """The text that a model reads of a document.

    `fields` are the document fields that title and text came from, and `parts` are those of the text; empty if they are
    not known.
    """

    title: str
    text: str
    fields: tuple[str, ...] = field(default=(), compare=False)
    parts: tuple[TextPart, ...] = field(default=(), compare=False)

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to score: neither title nor text holds more than white space."""
        return not (self.text.strip() or self.title.strip())


@dataclass(frozen=True, slots=True)
class Candidate:
    """One hit of the first stage; it keeps its score and rank until the response.

    `rank` counts from 1. `score` is the engine's own, higher is better.
    """

    docid: str
    rank: int
    score: float
    passage: Passage


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a passage's text: its characters from `start` up to, but not including, `end`.

    `index` counts from 0 among the `count` chunks that were scored.
    """

    index: int
    count: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class RequestTokens:
    """The tokens that a remote scorer counted for one request of so many pairs; each request has its own object."""

    tokens: int
    pairs: int


@dataclass(frozen=True, slots=True)
class Score:
    """A model's score of one passage.

    `value` is raw, a logit or a cosine; higher is better. `truncated` is True if the model read only part of the
    passage. `chunk` is the best-scoring chunk of a long passage that was scored in chunks. `tokens` is how many tokens
    of query and passage the model read, None if that is not known; equal scores may differ in it. A remote scorer that
    counts tokens tells those of its `request`.
    """

    value: float
    truncated: bool = False
    chunk: Chunk | None = None
    tokens: int | None = field(default=None, compare=False)
    request: RequestTokens | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate in its final position.

    `rank` counts from 1. `rerank_score` is the model's raw score (a logit, or a cosine for a bi-encoder); it is
    None if the passage was not scored. `score` is the fused score, None exactly if `rerank_score` is.
    `truncated` and `chunk` are those of the `Score`. `normalized` holds the first-stage score and the model's score
    as fusion combined them; it is None if fusion used the model's score alone. `stage_one` holds the rank and the fused
    score before stage two, None if stage two did not order the hit; then `score` is that of the place.
    """

    candidate: Candidate
    rank: int
    score: float | None
    rerank_score: float | None
    truncated: bool = False
    chunk: Chunk | None = None
    normalized: tuple[float, float] | None = None
    stage_one: tuple[int, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """How a ranking was cut: only hits with a relevance of `least` or more are in it.

    `dropped` of the candidates were left out. `unscored` of these have no score, so nothing is known of them.
    """

    least: float
    dropped: int
    unscored: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """All candidates of one query, best first: the scored ones, then the unscored in first-stage order.

    `seconds` holds the wall time of each stage of reranking, by name. `model_share` is the model's weight in the
    fusion, None if there is none. With a `cut` only the relevant candidates are there, and nothing may follow them.
    `stage_two` says what a generator made of it, None if none was asked.
    """

    query: str
    hits: tuple[Ranked, ...]
    seconds: dict[str, float]
    model_share: float | None = None
    cut: Cut | None = None
    stage_two: StageTwo | None = None

    @property
    def scored(self) -> int:
        """Return how many candidates the model scored, those left out included."""
        left_out = 0 if self.cut is None else self.cut.dropped - self.cut.unscored
        return sum(hit.rerank_score is not None for hit in self.hits) + left_out

    @property
    def unscored(self) -> int:
        """Return how many candidates have no score."""
        return sum(hit.rerank_score is None for hit in self.hits) + (0 if self.cut is None else self.cut.unscored)


@dataclass(frozen=True, slots=True)
class FirstStage(Generic[Native]):
    """The result of a first stage: the window of candidates, and the engine's complete response.

    `candidates` are the first hits of the engine in its order, at most the window asked for. Only the connector reads
    `native`. `skipped` says why a request can't be reranked; then `candidates` is empty and the connector responds
    with exactly what the engine answered.
    """

    query: str
    candidates: Sequence[Candidate]
    native: Native
    skipped: Why | None = None

    @property
    def is_unreadable(self) -> bool:
        """True if there are candidates but none has text: the passage fields are not those of the documents."""
        return bool(self.candidates) and all(candidate.passage.is_empty for candidate in self.candidates)


def fields_of(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Return the names of the document fields that the passages came from, each once."""
    return tuple(dict.fromkeys(name for candidate in candidates for name in candidate.passage.fields))


def rank_scored(query: str, passages: Sequence[Passage], scores: Sequence[float]) -> Ranking:
    """Return a ranking of passages that no first stage ranked, given best first; a candidate's rank is its place."""
    hits = [
        Ranked(Candidate("", place, 0.0, passage), place, score, score)
        for place, (passage, score) in enumerate(zip(passages, scores, strict=True), start=1)
    ]
    return Ranking(query, tuple(hits), {})


class Connector(Protocol[Request, Kept, Response]):
    """The two methods by which the sidecar uses a search engine; a connector never sees the model.

    `respond` does no I/O: it returns the engine's own response with its hits in the ranking's order.
    """

    def fetch(self, request: Request) -> FirstStage[Kept]:
        """Run the first stage. Raises an `errors.EngineError`."""
        ...

    def respond(self, first_stage: FirstStage[Kept], ranking: Ranking) -> Response:
        """Return the part of the engine's response that the caller asked for, with its hits in the ranking's order."""
        ...


class Ranks(Protocol):
    """An object that puts a query's candidates in their final order, such as `sidecar.reranker.Reranker`."""

    def rank_candidates(self, query: str, candidates: Sequence[Candidate]) -> Ranking:
        """Return every candidate once, the scored ones first; no candidates give an empty ranking."""
        ...


class RanksMany(Protocol):
    """Ranks many queries, one after the other, and can prepare the next while it scores one."""

    def rank_all(self, asked: Iterable[tuple[Key, str, Sequence[Candidate]]]) -> Iterator[tuple[Key, Ranking]]:
        """Yield the ranking of each query, in the order given, with the key that came with it."""
        ...
