"""The tools `search` and `rerank`: their results, their limits, and errors that tell an agent what to do.

Knows neither the protocol nor a search engine: a first stage is a function from a query to candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.core.candidates import FirstStage
from sidecar.core.errors import EngineError, InputError
from sidecar.reranker import Reranker

# Hits that an agent gets without asking for a number.
FEW = 10


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that was found; `score` ranks the hits of one search, and `truncated` tells that the text was cut."""

    docid: str
    score: float
    title: str
    text: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class RankedPassage:
    """A passage's position among those given, from 0 on, its score and its text."""

    index: int
    score: float
    text: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """The most hits of a search, passages of a request, their characters together, and characters of a text returned.

    `window` first-stage hits are reranked.
    """

    window: int
    hits: int
    passages: int
    characters: int
    text: int


class Tools:
    """The tools; `fetch` runs the first stage, and is None if there is no index to search."""

    def __init__(
        self, reranker: Reranker, limits: Limits, fetch: Callable[[str], FirstStage[Any]] | None = None
    ) -> None:
        self._reranker, self._limits, self._fetch = reranker, limits, fetch

    @property
    def searches(self) -> bool:
        """True if there is an index to search."""
        return self._fetch is not None

    def search(self, query: str, hits: int | None = None) -> list[Hit]:
        """Return the best hits after reranking the window, by default `FEW`. Raises a `SidecarError`."""
        if self._fetch is None:
            raise InputError("there is no index to search.", remedy="Use the tool rerank.")
        if hits is None:
            hits = min(FEW, self._limits.hits)
        if not 1 <= hits <= self._limits.hits:
            raise InputError(f"{hits} hits were asked for.", remedy=f"Ask for 1 to {self._limits.hits}.")
        self._check_characters([query])
        found = self._fetch(query)
        if found.skipped is not None:
            raise EngineError(f"the search can't be reranked: {found.skipped}.", remedy="Ask for fewer hits.")
        ranking = self._reranker.rank_candidates(query, found.candidates[: self._limits.window])
        return [
            Hit(
                hit.candidate.docid,
                hit.candidate.score if hit.score is None else hit.score,
                hit.candidate.passage.title,
                *self._shown(hit.candidate.passage.text),
            )
            for hit in ranking.hits[:hits]
        ]

    def rerank(self, query: str, passages: list[str], top_n: int | None = None) -> list[RankedPassage]:
        """Return the `top_n` best passages (None: all), best first. Raises a `SidecarError`."""
        if len(passages) > self._limits.passages:
            raise InputError(
                f"{len(passages)} passages were given.", remedy=f"Give at most {self._limits.passages} at a time."
            )
        self._check_characters([query, *passages])
        return [
            RankedPassage(one.index, one.score, *self._shown(passages[one.index]))
            for one in self._reranker.rank(query, passages, top_k=top_n)
        ]

    def _check_characters(self, texts: Sequence[str]) -> None:
        characters = sum(map(len, texts))
        if characters > self._limits.characters:
            raise InputError(
                f"the texts have {characters} characters.",
                remedy=f"Give at most {self._limits.characters} at a time: fewer passages, or shorter ones.",
            )

    def _shown(self, text: str) -> tuple[str, bool]:
        return text[: self._limits.text], len(text) > self._limits.text
