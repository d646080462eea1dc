"""Rerank candidates within a time limit: always an outcome, never an exception. Both ports of the service use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sidecar.core.candidates import Candidate, Passage, Ranking, Score
from sidecar.core.errors import RateLimited, ScorerBusy, ScorerEnded, ScorerUnavailable, ScoringError, SidecarError
from sidecar.core.fusion import Fusion
from sidecar.core.reasons import Reason, Why
from sidecar.core.relevance_cut import UNCALIBRATED, keep_relevant
from sidecar.core.spans import Span
from sidecar.core.token_guess import guess_tokens
from sidecar.core.trace import Stage, Value
from sidecar.reranker import arrange
from sidecar.scoring.cache_keys import pair_keys
from sidecar.scoring.score_mapping import Mapping
from sidecar.serving.scorer.rate_limits import RateLimits, Unit
from sidecar.serving.scorer.score_cache import ScoreCache
from sidecar.serving.scorer.scorers import Scorers
from sidecar.serving.scorer.stage_two import ServiceStageTwo
from sidecar.serving.scorer.terms import Terms


class Status(StrEnum):
    """The status of a request, as `X-Rerank-Status` says it."""

    APPLIED = "applied"
    PARTIAL = "partial"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a reranking: its ranking, None if nothing was scored, and the reason if not all was.

    `seconds` are the wall times of its stages, `model` the model that scored, `mapping` its mapping to 0 to 1, `fusion`
    how its scores were combined with the first stage's, `rule` the index pattern of the rule that asked for reranking,
    "" if the search itself did. `spans` are those of the page's hits, in order, None for a hit whose spans could not be
    found in time. For a request with several searches, `each` holds the outcomes of those to rerank, and the other
    fields are a summary for the caller.
    """

    status: Status
    reason: Why | None = None
    ranking: Ranking | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    model: str = ""
    mapping: Mapping = field(default_factory=Mapping)
    fusion: Fusion | None = None
    rule: str = ""
    spans: Sequence[Sequence[Span] | None] = ()
    each: Sequence[Outcome] = ()

    @property
    def words(self) -> str:
        """Return the text of the reason, "" for none."""
        return "" if self.reason is None else str(self.reason)

    @property
    def traced(self) -> dict[str, Value]:
        """Return the attributes of a span: the reason without words that may be the caller's."""
        told: dict[str, Value] = {"rerank.status": self.status.value}
        if self.reason is not None:
            told |= {"rerank.reason": self.reason.for_log}
        if self.ranking is not None:
            told |= {"rerank.scored": self.ranking.scored}
        labels = {"rerank.model": self.model, "rerank.rule": self.rule}
        return told | {name: label for name, label in labels.items() if label}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The arguments of `RerankingService.rank`."""

    query: str
    candidates: Sequence[Candidate]
    model: str
    fusion: Fusion | None
    min_relevance: float
    listwise: bool


class RerankingService:
    """The scorers and their cache.

    If nothing was scored within less than `fair_seconds`, or less than the device took for its last batch, the scorer
    may still be healthy, so this does not count as a failure.
    """

    def __init__(
        self,
        scorers: Scorers,
        *,
        cache: ScoreCache[Score],
        fair_seconds: float = 0.0,
        rates: RateLimits | None = None,
        stage_two: ServiceStageTwo | None = None,
    ) -> None:
        self.stage_two = stage_two
        self.fair_seconds = fair_seconds
        self.scorers = scorers
        self.cache = cache
        self.rates = rates or RateLimits()

    def without_rates(self) -> RerankingService:
        """Return the same service for work that counts against no caller's rate."""
        return RerankingService(
            self.scorers, cache=self.cache, fair_seconds=self.fair_seconds, stage_two=self.stage_two
        )

    def mapping(self, model: str) -> Mapping:
        """Return the mapping from the model's raw score to one between 0 and 1."""
        loaded = self.scorers.loaded(model)
        return Mapping() if loaded is None else loaded.mapping

    def calibrated(self, model: str) -> bool | None:
        """True if the model's scores between 0 and 1 are probabilities of relevance; None until it is loaded."""
        loaded = self.scorers.loaded(model)
        return None if loaded is None else loaded.mapping.calibrated

    def fusion(self, model: str) -> Fusion:
        """The fusion that the model prefers."""
        loaded = self.scorers.loaded(model)
        return Fusion() if loaded is None else loaded.fusion

    async def scores(self, model: str, query: str, passages: Sequence[Passage], terms: Terms) -> list[Score | None]:
        """Score passages, as `scores_of_lists` does one list."""
        [found] = await self.scores_of_lists(model, [(query, passages)], terms)
        return found

    async def scores_of_lists(
        self, model: str, lists: Sequence[tuple[str, Sequence[Passage]]], terms: Terms
    ) -> list[list[Score | None]]:
        """Score the passages that are not cached, each list against its query; None for those not scored in time.

        All scores are those of the model that is there when they are returned, so its mapping and fusion belong to
        them: if it was replaced meanwhile, everything is scored again. Callers share the device in turns. Raises
        `ScorerUnavailable` or `ScoringError`. The tokens that count against the caller's rate are estimated, before
        anything is scored.
        """
        ends_at, identity = time.monotonic() + terms.seconds, self._identity(model)
        found = await asyncio.gather(*(self._list_scores(model, query, passages, terms) for query, passages in lists))
        if self._identity(model) == identity:
            return found
        left = ends_at - time.monotonic()
        if left <= 0:
            return [[None] * len(passages) for _, passages in lists]
        # The caller did not ask for it twice.
        return await self.without_rates().scores_of_lists(model, lists, replace(terms, seconds=left))

    def _identity(self, model: str) -> str | None:
        return self.scorers.of(model).identity(model)

    async def _list_scores(
        self, model: str, query: str, passages: Sequence[Passage], terms: Terms
    ) -> list[Score | None]:
        """Score a list, and keep the scores unless the model was replaced meanwhile: they may be of either model."""
        identity = self._identity(model)
        keys = pair_keys(terms.how.of(identity or model), query, passages)
        found = self.cache.look_up(keys)
        unknown = [position for position, score in enumerate(found) if score is None]
        if not unknown:
            return found
        fresh = await self._fresh(model, query, [passages[position] for position in unknown], terms)
        replaced = self._identity(model) != identity
        for position, score in zip(unknown, fresh, strict=True):
            found[position] = score
            if score is not None and not replaced:
                self.cache.keep(keys[position], score)
        return found

    async def _fresh(self, model: str, query: str, passages: Sequence[Passage], terms: Terms) -> Sequence[Score | None]:
        """Score passages, unless the circuit breaker forbids it, which counts failures here."""
        scorer, breaker = self.scorers.of(model), self.scorers.breaker(model)
        if why := scorer.why_not(model):
            raise ScorerUnavailable(why)
        if not breaker.allows(time.monotonic()):
            raise ScorerUnavailable("the scorer failed several times in a row and is not asked for a while")
        self.rates.take(Unit.TOKENS, terms.caller, sum(guess_tokens((terms.how.instruction or "") + query, passages)))
        asked_at = time.monotonic()
        try:
            fresh = await scorer.score(model, query, passages, terms)
        except (ScorerBusy, ScorerEnded, ScoringError):
            raise  # it works, but is busy, lost one of its processes or can't score this query
        except ScorerUnavailable:
            breaker.failed(time.monotonic())
            raise
        if any(score is not None for score in fresh):
            breaker.succeeded()
        elif terms.seconds >= max(self.fair_seconds, scorer.batch_seconds) and scorer.scored_at < asked_at:
            breaker.failed(time.monotonic())  # no caller got a score meanwhile; otherwise it works, but is busy
        return fresh

    async def rank(  # noqa: PLR0913  independent options, by keyword
        self,
        query: str,
        candidates: Sequence[Candidate],
        *,
        model: str,
        fusion: Fusion | None,
        seconds: float,
        min_relevance: float = 0.0,
        listwise: bool = False,
        caller: str = "",
    ) -> Outcome:
        """Rerank within `seconds`: passages scored in time go first, the rest follows in first-stage order.

        `fusion` None is the fusion that the model prefers. With `min_relevance` the rest is left out, and so is what is
        less relevant; it fails if the model is not calibrated. With `listwise` the generator of the service then puts
        the first hits in order, in the time that is left; if it can't, the outcome is partial.
        """
        wanted = _Wanted(query, candidates, model, fusion, min_relevance, listwise)
        with Stage("rerank") as stage:
            stage.quote("rerank.query", query)
            outcome = await self._rank(wanted, Terms(seconds, caller))
            stage.tell({"rerank.model": model, "rerank.candidates": len(candidates), **outcome.traced})
            return outcome

    async def _rank(self, wanted: _Wanted, terms: Terms) -> Outcome:
        started, model = time.perf_counter(), wanted.model
        readable = [candidate for candidate in wanted.candidates if not candidate.passage.is_empty]
        if not readable:
            return Outcome(Status.SKIPPED, Why(Reason.NO_TEXT, "no candidate has text where the model looks"))
        try:
            with Stage("score") as scoring:
                found = await self.scores(model, wanted.query, [one.passage for one in readable], terms)
            scored = sum(score is not None for score in found)
            if not scored:
                return Outcome(Status.FAILED, Why(Reason.TOO_SLOW, f"nothing was scored within {terms.seconds:.3g} s"))
            by_rank = {candidate.rank: score for candidate, score in zip(readable, found, strict=True)}
            scores = [by_rank.get(candidate.rank) for candidate in wanted.candidates]
            fusion, mapping = wanted.fusion or self.fusion(model), self.mapping(model)
            if wanted.min_relevance and not mapping.calibrated:
                return Outcome(Status.FAILED, Why(Reason.UNCALIBRATED, UNCALIBRATED.format(model=model)))
            ranking = arrange(wanted.query, wanted.candidates, scores, fusion)
            ranking = keep_relevant(ranking, wanted.min_relevance, mapping)
        except SidecarError as error:
            return Outcome(Status.FAILED, why_of(error))
        if wanted.listwise and self.stage_two is not None:
            left = terms.seconds - (time.perf_counter() - started)
            ranking = await self.stage_two.reorder(ranking, replace(terms, seconds=left))
        stages = {"score": scoring.seconds, **ranking.seconds}
        why = None if ranking.stage_two is None else ranking.stage_two.why
        if scored < len(readable):
            why = Why(Reason.PARTLY_SCORED, f"{scored} of {len(readable)} passages were scored in time")
        status = Status.APPLIED if why is None else Status.PARTIAL
        return Outcome(status, why, ranking, stages, mapping=mapping, fusion=fusion)


# The first matching kind counts: a special kind comes before the general one.
_REASONS: tuple[tuple[type[SidecarError], Reason], ...] = (
    (RateLimited, Reason.RATE_LIMITED),
    (ScorerBusy, Reason.OVERLOADED),
    (ScorerUnavailable, Reason.SCORER_UNAVAILABLE),
    (ScoringError, Reason.SCORING_FAILED),
)


def why_of(error: SidecarError) -> Why:
    """Return the reason for one of our errors."""
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.INTERNAL_ERROR)
    return Why(reason, error.message, error.retry_after if isinstance(error, RateLimited) else None)
