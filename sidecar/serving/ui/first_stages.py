"""The interface of a search engine for comparisons: the window of a search, and its response in another order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sidecar.core.candidates import Candidate, Ranking
from sidecar.core.documents import PassageFields
from sidecar.core.reasons import Why
from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.held_bytes import Hold
from sidecar.serving.ui.request import ComparisonRequest


@dataclass(frozen=True, slots=True)
class ComparedHit:
    """A hit of the first stage as a person sees it; `score` is None if the engine gave none.

    `highlight` holds the engine's own marked fragments by field.
    """

    docid: str
    rank: int
    score: float | None
    title: str
    text: str
    fields: tuple[str, ...] = ()
    index: str = ""
    highlight: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The first stage of a comparison.

    `candidates` can be reranked; `skipped` says why they can't be, and then `hits` alone are known. `window` is the
    window that the engine allowed. `caller` is the key by which the caller takes turns at the scorer. `request` is the
    search as it was sent, for people to copy. `respond` returns the engine's own response in the order of a ranking,
    None for the engine's order.
    """

    query: str
    candidates: Sequence[Candidate]
    hits: Sequence[ComparedHit]
    window: int
    respond: Callable[[Ranking | None], Awaitable[bytes]]
    skipped: Why | None = None
    warning: str = ""
    caller: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)


class ComparedEngine(Protocol):
    """A search engine whose first stage can be compared with rerankings of it."""

    async def fetch(
        self, asked: ComparisonRequest, window: int, fields: PassageFields, exchange: Exchange, hold: Hold
    ) -> Fetched:
        """Run the first stage in the caller's own rights. Raises `Problem` or an `EngineError`."""
        ...


def hits_of(candidates: Sequence[Candidate]) -> list[ComparedHit]:
    """Return candidates as hits without highlights."""
    return [
        ComparedHit(one.docid, one.rank, one.score, one.passage.title, one.passage.text, one.passage.fields)
        for one in candidates
    ]
