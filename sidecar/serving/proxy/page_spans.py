"""The spans of a page's hits in a search's response: beside each hit, in its `highlight`, or both. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.opensearch.flow.search_flow import NativeResponse
from connectors.opensearch.respond.additions import Additions
from connectors.opensearch.respond.highlight import highlight_of
from connectors.opensearch.rewrite.highlight_tags import HighlightTags
from sidecar.core.candidates import FirstStage, Passage, Ranked, Ranking
from sidecar.core.spans import Span, SpanOptions, span_with_text
from sidecar.serving.scorer.service import Outcome


@dataclass(frozen=True, slots=True)
class PageSpans:
    """Which spans the hits of a page get, and where: `beside` them in `_rerank`, or in their highlight with `tags`."""

    options: SpanOptions
    beside: bool = True
    tags: HighlightTags | None = None

    def beside_hits(self, outcome: Outcome, first_stage: FirstStage[NativeResponse]) -> list[dict[str, Any]]:
        """Return what `_rerank` holds of the spans of each hit of the page, with their text, best first."""
        if not self.beside:
            return []
        return [
            {} if own is None else {"spans": [span_with_text(passage.text, span) for span in own]}
            for passage, own in _found(outcome, first_stage)
        ]

    def highlights(
        self, outcome: Outcome, first_stage: FirstStage[NativeResponse]
    ) -> list[Mapping[str, Sequence[str]]]:
        """Return what the spans make of the `highlight` of each hit of the page, by field; nothing stays as it is."""
        if self.tags is None:
            return []
        return [
            {} if own is None else highlight_of(passage, own, self.tags)
            for passage, own in _found(outcome, first_stage)
        ]


def spans_added(
    outcome: Outcome,
    wanted: PageSpans,
    first_stage: FirstStage[NativeResponse],
    said: Mapping[str, Any],
    hits: Sequence[Mapping[str, Any]] = (),
) -> Additions:
    """Return what a response tells, `said` of the search and its `hits`, with the spans."""
    spans = wanted.beside_hits(outcome, first_stage)
    each = [{**hit, **own} for hit, own in zip(hits, spans, strict=True)] if hits and spans else hits or spans
    return Additions(
        rerank={**said, **spans_told(outcome)}, hits=each, highlights=wanted.highlights(outcome, first_stage)
    )


def spans_told(outcome: Outcome) -> dict[str, int]:
    """Say how many hits of the page have no spans, because their sentences could not be scored in time."""
    return {"without_spans": sum(own is None for own in outcome.spans)}


def page_of(ranking: Ranking, first_stage: FirstStage[NativeResponse]) -> Sequence[Ranked]:
    """Return the ranked hits of the caller's page."""
    plan = first_stage.native.plan
    return ranking.hits if plan is None else ranking.hits[plan.start : plan.start + plan.size]


def _found(outcome: Outcome, first_stage: FirstStage[NativeResponse]) -> list[tuple[Passage, Sequence[Span] | None]]:
    """Return the passage of each hit of the page with its spans; none if no spans were looked for."""
    if outcome.ranking is None or not outcome.spans:
        return []
    passages = [hit.candidate.passage for hit in page_of(outcome.ranking, first_stage)]
    return list(zip(passages, outcome.spans, strict=True))
