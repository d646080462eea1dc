"""Explain the position of a hit: everything that is known of it, in one flat record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sidecar.core.candidates import Chunk, Ranked, Ranking


class Maps(Protocol):
    """A mapping from a raw score to one between 0 and 1, such as `sidecar.scoring.score_mapping.Mapping`."""

    @property
    def calibrated(self) -> bool:
        """Whether the result reads as a probability of relevance."""
        ...

    def __call__(self, score: float) -> float:
        """Map one raw score."""
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """One hit: its first-stage position, the model's score, the fused score, and the fields that the model read.

    `rerank_score` is the model's raw score and `relevance` the same between 0 and 1, a probability only if
    `calibrated`. `score` is the fused one, of `normalized_first_stage` and `normalized_rerank` if it mixes two.
    An unscored hit has None for all of these. `fields` are the document fields that title and text came from.
    If stage two put the hit in its place, `score` is that of the place, and `stage_one_rank` and `stage_one_score` are
    the hit's own rank and fused score before.
    """

    docid: str
    rank: int
    score: float | None
    first_stage_rank: int
    first_stage_score: float
    rerank_score: float | None
    relevance: float | None
    calibrated: bool
    normalized_first_stage: float | None
    normalized_rerank: float | None
    fields: tuple[str, ...]
    truncated: bool
    chunk: Chunk | None
    stage_one_rank: int | None = None
    stage_one_score: float | None = None


def explain(ranking: Ranking, mapping: Maps) -> list[Explanation]:
    """Explain every hit of a ranking, in its order."""
    return [_explain(hit, mapping) for hit in ranking.hits]


def _explain(hit: Ranked, mapping: Maps) -> Explanation:
    first_stage, model = hit.normalized or (None, None)
    return Explanation(
        docid=hit.candidate.docid,
        rank=hit.rank,
        score=hit.score,
        first_stage_rank=hit.candidate.rank,
        first_stage_score=hit.candidate.score,
        rerank_score=hit.rerank_score,
        relevance=None if hit.rerank_score is None else mapping(hit.rerank_score),
        calibrated=mapping.calibrated,
        normalized_first_stage=first_stage,
        normalized_rerank=model,
        fields=hit.candidate.passage.fields,
        truncated=hit.truncated,
        chunk=hit.chunk,
        stage_one_rank=None if hit.stage_one is None else hit.stage_one[0],
        stage_one_score=None if hit.stage_one is None else hit.stage_one[1],
    )
