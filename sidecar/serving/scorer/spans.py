"""Find the spans of passages that answer a query, with the scorer that ranked them, in the time that is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sidecar.core.candidates import Passage
from sidecar.core.errors import SidecarError
from sidecar.core.spans import Span, SpanOptions, best_spans, pieces_of
from sidecar.core.token_counts import total_tokens
from sidecar.core.trace import Stage
from sidecar.serving.scorer.service import RerankingService
from sidecar.serving.scorer.terms import Terms


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """The spans of each passage, best first; None for a passage whose sentences were not all scored in time.

    `tokens` is how many tokens the model read for all sentences, None if that is not known.
    """

    each: Sequence[Sequence[Span] | None]
    tokens: int | None = 0

    @property
    def missing(self) -> int:
        """Return how many passages have no spans because time, or the number of sentences, did not suffice."""
        return sum(one is None for one in self.each)


async def find_spans(  # noqa: PLR0913, PLR0917  what is scored, as everywhere, and what is wanted of it
    service: RerankingService,
    model: str,
    query: str,
    passages: Sequence[Passage],
    wanted: SpanOptions,
    terms: Terms,
) -> FoundSpans:
    """Score the sentences of the passages, each with its passage's title. Never raises.

    If scoring fails, no passage has spans: the ranking is there, and stays.
    """
    deadline = time.monotonic() + terms.seconds
    # In a thread: hostile texts take seconds, and the event loop has other callers.
    pieces = await asyncio.to_thread(pieces_of, passages)
    texts = [
        Passage(passage.title, passage.text[start:end])
        for passage, own in zip(passages, pieces, strict=True)
        for start, end in own or ()
    ]
    left = deadline - time.monotonic()
    if left <= 0:
        return FoundSpans([None] * len(passages))
    try:
        with Stage("spans"):
            found = await service.scores(model, query, texts, replace(terms, seconds=left))
    except SidecarError:
        return FoundSpans([None] * len(passages))
    mapping, rest = service.mapping(model), iter(found)
    each: list[Sequence[Span] | None] = []
    for own in pieces:
        scores = [next(rest) for _ in own or ()]
        known = [mapping(score.value) for score in scores if score is not None]
        each.append(None if own is None or len(known) < len(own) else best_spans(own, known, wanted))
    return FoundSpans(each, total_tokens([score for score in found if score is not None]))
