"""From first stages to reranked answers, whoever fetched them; the reranker is asked, and nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.opensearch import msearch, response
from connectors.opensearch.conversation import Native
from connectors.opensearch.msearch import Stages
from sidecar.candidates import FirstStage, Ranking, Ranks
from sidecar.errors import EngineRejected


@dataclass(frozen=True, slots=True)
class Reranked:
    """A search's answer: OpenSearch's response as bytes, and the ranking behind it or the reason why there is none."""

    body: bytes
    ranking: Ranking | None
    skipped: str | None


@dataclass(frozen=True, slots=True)
class MultiReranked:
    """The answer to several searches, and each search's own; none where they could not be told apart (`skipped`)."""

    body: bytes
    searches: tuple[Reranked, ...]
    skipped: str | None


def rank(reranker: Ranks, first_stage: FirstStage[Native]) -> Reranked:
    """Rerank a search. Raises what the reranker raises."""
    native = first_stage.native
    if native.plan is None or native.answer is None:
        return Reranked(native.raw, None, first_stage.skipped)
    ranking = reranker.rank(first_stage.query, first_stage.candidates)
    return Reranked(response.respond(native.answer, native.plan, ranking), ranking, None)


def rank_all(reranker: Ranks, found: Stages) -> MultiReranked:
    """Rerank several searches, each for itself; OpenSearch's refusal of one is that search's answer."""
    if found.whole is not None:
        return MultiReranked(found.whole, (), found.skipped)
    each = tuple(
        Reranked(stage.body, None, stage.message) if isinstance(stage, EngineRejected) else rank(reranker, stage)
        for stage in found.stages
    )
    return MultiReranked(msearch.joined(found, (search.body for search in each)), each, None)
