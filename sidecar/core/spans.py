"""Spans: the sentences of a passage that answer the query best. No I/O; scores come from the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.core.candidates import Passage
from sidecar.core.sentences import LONGEST, sentences

# Sentences that are looked at: of one passage, and of all passages of a request. Those after them are not scored.
MOST_OF_A_PASSAGE = 64
MOST_OF_A_REQUEST = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a passage's text, in code points: its first character, and the one after its last.

    `score` is its relevance to the query, between 0 and 1.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class SpanOptions:
    """Which spans are wanted of each passage: `most` (None: all) of those whose score is above `threshold`."""

    most: int | None = None
    threshold: float = 0.0


ALL_SPANS = SpanOptions()


def pieces_of(passages: Sequence[Passage]) -> list[list[tuple[int, int]] | None]:
    """Return the sentences of each passage's text, None for passages after `MOST_OF_A_REQUEST` sentences."""
    found: list[list[tuple[int, int]] | None] = []
    left = MOST_OF_A_REQUEST
    for passage in passages:
        pieces = sentences(passage.text[: MOST_OF_A_PASSAGE * LONGEST], MOST_OF_A_PASSAGE) if left else None
        if pieces is None or len(pieces) > left:
            pieces, left = None, 0
        found.append(pieces)
        left -= len(pieces or ())
    return found


def best_spans(pieces: Sequence[tuple[int, int]], scores: Sequence[float], wanted: SpanOptions) -> list[Span]:
    """Return the wanted spans, best first; equal ones in the order of the text."""
    spans = [Span(*piece, score) for piece, score in zip(pieces, scores, strict=True) if score > wanted.threshold]
    spans.sort(key=lambda span: (-span.score, span.start))
    return spans[: wanted.most]


def span_with_text(text: str, span: Span) -> dict[str, Any]:
    """Return a span as JSON has it, with its text; half of a surrogate pair, which JSON can't hold, becomes U+FFFD."""
    words = text[span.start : span.end].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return {"start": span.start, "end": span.end, "score": span.score, "text": words}
