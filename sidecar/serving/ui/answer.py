"""The answer of a comparison: the hits of the first stage once, and each reranking by their ranks. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from sidecar.core.candidates import Chunk, Ranking
from sidecar.core.explanation import explain
from sidecar.core.fusion import Fusion
from sidecar.core.spans import Span
from sidecar.core.stage_two import count_answers
from sidecar.scoring.score_mapping import Mapping as ScoreMapping
from sidecar.serving.scorer.service import Outcome
from sidecar.serving.ui.first_stages import ComparedHit


class RerankedHit(msgspec.Struct, frozen=True):
    """One hit of a reranking, named by its rank in the first stage; the rest as in `core.explanation.Explanation`."""

    rank: int
    first_stage_rank: int
    score: float | None
    rerank_score: float | None
    relevance: float | None
    normalized_first_stage: float | None
    normalized_rerank: float | None
    truncated: bool
    chunk: Chunk | None
    stage_one_rank: int | msgspec.UnsetType = msgspec.UNSET
    spans: Sequence[Span] | msgspec.UnsetType | None = msgspec.UNSET


class ComparedRanking(msgspec.Struct, frozen=True):
    """One reranking: what became of it, how it was made, and its hits, best first; none if nothing was scored.

    If stage two was asked for, `stage` says whose order it is, and `stage_two` what the generator answered. If spans
    were wanted, the first hits have them, null for a hit whose sentences could not be scored in time; `without_spans`
    counts these.
    """

    model: str
    status: str
    reason: str
    words: str
    fusion: Mapping[str, Any] | None
    model_share: float | None
    calibrated: bool
    seconds: Mapping[str, float]
    hits: Sequence[RerankedHit]
    stage: int | msgspec.UnsetType = msgspec.UNSET
    stage_two: Mapping[str, int] | msgspec.UnsetType = msgspec.UNSET
    without_spans: int | msgspec.UnsetType = msgspec.UNSET
    response: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Comparison(msgspec.Struct, frozen=True):
    """The whole answer; `seconds` has `fetch` and `total`, and each ranking the stages of its own."""

    engine: str
    index: str
    query: str
    window: int
    warning: str
    seconds: Mapping[str, float]
    hits: Sequence[ComparedHit]
    rankings: Sequence[ComparedRanking]
    request: Mapping[str, Any]
    response: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def compared_ranking(
    outcome: Outcome, requested: Fusion | None, mapping: ScoreMapping, response: bytes | None
) -> ComparedRanking:
    """Describe one outcome; `response` is the engine's own response in its order, if it was asked for."""
    ranking, fusion = outcome.ranking, outcome.fusion or requested
    second = None if ranking is None else ranking.stage_two
    return ComparedRanking(
        model=outcome.model,
        status=outcome.status.value,
        reason="" if outcome.reason is None else outcome.reason.reason.value,
        words=outcome.words,
        fusion=None if fusion is None else written_out(fusion),
        model_share=None if ranking is None else ranking.model_share,
        calibrated=mapping.calibrated,
        seconds=outcome.seconds,
        hits=[] if ranking is None else _hits(ranking, mapping, outcome.spans),
        stage=msgspec.UNSET if second is None else second.stage,
        stage_two=msgspec.UNSET if second is None else {"depth": second.depth, **count_answers(second.windows)},
        without_spans=sum(own is None for own in outcome.spans) if outcome.spans else msgspec.UNSET,
        response=msgspec.UNSET if response is None else msgspec.Raw(response),
    )


def written_out(fusion: Fusion) -> dict[str, Any]:
    """Return every part of a fusion, for whoever computes it again; `weight` None is the default of its method."""
    return {
        "method": fusion.method.value,
        "normalization": fusion.normalization.value,
        "weight": fusion.weight,
        "rank_constant": fusion.rank_constant,
        "arithmetic": fusion.arithmetic.value,
    }


def _hits(ranking: Ranking, mapping: ScoreMapping, spans: Sequence[Sequence[Span] | None]) -> list[RerankedHit]:
    """Describe the hits of a ranking, of which the first have spans."""
    return [_hit(one, own) for one, own in zip_longest(explain(ranking, mapping), spans, fillvalue=msgspec.UNSET)]


def _hit(one: Any, spans: Any) -> RerankedHit:
    return RerankedHit(
        rank=one.rank,
        first_stage_rank=one.first_stage_rank,
        score=one.score,
        rerank_score=one.rerank_score,
        relevance=one.relevance,
        normalized_first_stage=one.normalized_first_stage,
        normalized_rerank=one.normalized_rerank,
        truncated=one.truncated,
        chunk=one.chunk,
        stage_one_rank=msgspec.UNSET if one.stage_one_rank is None else one.stage_one_rank,
        spans=spans,
    )
