"""The ranking of what was fetched, and what a client gives its caller; whoever fetched it, and nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.opensearch.flow import msearch_flow
from connectors.opensearch.flow.msearch_flow import Stages
from connectors.opensearch.flow.search_flow import NativeResponse
from sidecar.core.candidates import FirstStage, Ranking, Ranks, fields_of
from sidecar.core.errors import EngineRejected


@dataclass(frozen=True, slots=True)
class Reranked:
    """A search's answer: OpenSearch's response as bytes, and the ranking behind it or the reason why there is none.

    `window` is how many of the first hits were candidates, which an index may have made less than was asked for.
    `fields` are those that title and text were read of; `warning` says what to know of them, None where all is well.
    """

    body: bytes
    ranking: Ranking | None
    skipped: str | None
    window: int | None = None
    fields: tuple[str, ...] = ()
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class MultiReranked:
    """The answer to several searches, and each search's own; none where they could not be told apart (`skipped`)."""

    body: bytes
    searches: tuple[Reranked, ...]
    skipped: str | None


def rank(reranker: Ranks, stage: FirstStage[NativeResponse] | EngineRejected) -> Ranking | None:
    """Rank a search's candidates; None for one that is skipped, or was refused. Raises what the reranker raises."""
    if isinstance(stage, EngineRejected) or stage.skipped is not None:
        return None
    return reranker.rank_candidates(stage.query, stage.candidates)


def rank_all(reranker: Ranks, found: Stages) -> list[Ranking | None]:
    """Rank each of several searches for itself."""
    return [rank(reranker, stage) for stage in found.stages]


def together(found: Stages, rankings: Sequence[Ranking | None], bodies: Sequence[bytes]) -> MultiReranked:
    """Join the answers of several searches."""
    if found.whole is not None:
        return MultiReranked(found.whole, (), found.skipped)
    each = tuple(reranked(*answer) for answer in zip(found.stages, rankings, bodies, strict=True))
    return MultiReranked(msearch_flow.joined(found, bodies), each, None)


def reranked(stage: FirstStage[NativeResponse] | EngineRejected, ranking: Ranking | None, body: bytes) -> Reranked:
    """Say what became of one search."""
    if isinstance(stage, EngineRejected):
        return Reranked(body, ranking, stage.message)
    plan = stage.native.plan
    window = None if plan is None else plan.window
    return Reranked(body, ranking, stage.skipped, window, fields_of(stage.candidates), stage.native.warning or None)
