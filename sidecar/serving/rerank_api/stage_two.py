"""The documents of a request as a ranking for stage two, and back. No I/O."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.candidates import Ranking, rank_scored
from sidecar.serving.rerank_api.dialect import RankedDocuments


def best_first(query: str, answer: RankedDocuments) -> Ranking:
    """Return the scored documents as a ranking."""
    best = answer.best()
    return rank_scored(query, [answer.passages[one.index] for one in best], [one.score for one in best])


def in_order_of(ranking: Ranking, answer: RankedDocuments) -> RankedDocuments:
    """Return the answer with its documents in the order of a ranking of `best_first`.

    The scores stay with their places, so that clients that sort by them get the same order.
    """
    places = answer.best()
    found = [
        replace(score, index=places[hit.candidate.rank - 1].index, place=hit.rank)
        for score, hit in zip(places, ranking.hits, strict=True)
    ]
    return replace(answer, scored=found, stage_two=ranking.stage_two)
