"""Compare one search's first stage with rerankings of it: fetch once, then score and fuse for each ranking."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from sidecar.core.documents import PassageFields
from sidecar.core.fusion import Fusion
from sidecar.core.reasons import Reason, Why
from sidecar.core.spans import SpanOptions
from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.held_bytes import Hold
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.proxy.rerank_options import RerankOptions
from sidecar.serving.rerank_api.engine import ModelNames
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.scorer.service import Outcome, RerankingService, Status
from sidecar.serving.scorer.spans import find_spans
from sidecar.serving.scorer.terms import Terms
from sidecar.serving.ui.answer import ComparedRanking, Comparison, compared_ranking
from sidecar.serving.ui.first_stages import ComparedEngine, Fetched
from sidecar.serving.ui.request import ComparisonRequest, TopSpans, fusions_of, stages_two_of


class Turns(Protocol):
    """Who may rerank now: the limit that the proxy's searches have, too."""

    in_flight: int

    def not_now(self) -> Why | None:
        """Say why nothing is reranked at the moment; None if it is."""
        ...


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares searches of `engines` by name; `options` are the settings' defaults of a reranking.

    `list_indexes` lists the indexes of OpenSearch that a caller may search.
    """

    engines: Mapping[str, ComparedEngine]
    lucene_indexes: Sequence[str]
    list_indexes: Callable[[Exchange, Hold], Coroutine[Any, Any, list[str]]]
    service: RerankingService
    names: ModelNames
    options: RerankOptions
    turns: Turns
    metrics: Metrics
    clock: Callable[[], float] = time.perf_counter

    async def compare(
        self, asked: ComparisonRequest, exchange: Exchange, hold: Hold, *, client: str = ""
    ) -> Comparison:
        """Answer one comparison, in the caller's own rights. Raises `Problem` and what the engine raises.

        A caller with a key of its own takes turns as this `client`, whatever account is searched with.
        """
        started = self.clock()
        models = [self.names.find(one.model) for one in asked.rankings]
        fusions = fusions_of(asked, self.options.fusion)
        stages_two = stages_two_of(asked, self.options.generator)
        engine = asked.engine or ("lucene" if asked.index in self.lucene_indexes else "opensearch")
        if engine not in self.engines:
            raise Problem(Fault.NOT_FOUND, f"there is no {engine} index here; set SIDECAR_LUCENE_INDEXES")
        fetched = await self.engines[engine].fetch(asked, self._window(asked), self._fields(asked), exchange, hold)
        fetched = replace(fetched, caller=client or fetched.caller)
        fetching = self.clock() - started
        seconds = (asked.timeout_ms / 1000 if asked.timeout_ms else self.options.seconds) - fetching
        rankings = []
        for model, fusion, listwise in zip(models, fusions, stages_two, strict=True):
            deadline = self.clock() + seconds
            outcome = await self._rank(fetched, model, fusion, seconds, listwise=listwise)
            if asked.top_spans is not None:
                outcome = await self._with_spans(outcome, asked.top_spans, fetched, deadline - self.clock())
            own = await fetched.respond(outcome.ranking) if asked.responses else None
            rankings.append(self._described(outcome, fusion, own))
        native = await fetched.respond(None) if asked.responses else None
        times = {"fetch": fetching, "total": self.clock() - started}
        return Comparison(
            engine=engine,
            index=asked.index,
            query=fetched.query,
            window=fetched.window,
            warning=fetched.warning,
            seconds=times,
            hits=fetched.hits,
            rankings=rankings,
            request=fetched.request,
            response=msgspec.UNSET if native is None else msgspec.Raw(native),
        )

    def _window(self, asked: ComparisonRequest) -> int:
        return asked.window or self.options.window

    def _fields(self, asked: ComparisonRequest) -> PassageFields:
        named = asked.document_fields
        return self.options.fields if named is None else PassageFields(title=(), text=tuple(named))

    async def _rank(
        self, fetched: Fetched, model: str, fusion: Fusion | None, seconds: float, *, listwise: bool
    ) -> Outcome:
        """Rerank the candidates as a search is reranked; the outcome is counted as one of the API port."""
        why = fetched.skipped or self.turns.not_now()
        if why is None and not fetched.candidates:
            why = Why(Reason.NO_HITS, "there are no hits")
        if why is not None:
            outcome = Outcome(Status.SKIPPED, why)
        elif seconds <= 0:
            outcome = Outcome(Status.FAILED, Why(Reason.FIRST_STAGE_TOO_SLOW, "the first stage took the whole budget"))
        else:
            self.turns.in_flight += 1
            try:
                outcome = await self.service.rank(
                    fetched.query,
                    fetched.candidates,
                    model=model,
                    fusion=fusion,
                    seconds=seconds,
                    listwise=listwise,
                    caller=fetched.caller,
                )
            finally:
                self.turns.in_flight -= 1
        outcome = replace(outcome, model=model)
        self.metrics.outcome("api", outcome)
        return outcome

    async def _with_spans(self, outcome: Outcome, wanted: TopSpans, fetched: Fetched, seconds: float) -> Outcome:
        """Add the spans of the first hits, as far as `seconds` suffice."""
        if outcome.ranking is None:
            return outcome
        top = [hit.candidate.passage for hit in outcome.ranking.hits[: wanted.hits]]
        options, terms = SpanOptions(wanted.max_spans, wanted.threshold), Terms(seconds, fetched.caller)
        found = await find_spans(self.service, outcome.model, fetched.query, top, options, terms)
        return replace(outcome, spans=found.each)

    def _described(self, outcome: Outcome, fusion: Fusion | None, response: bytes | None) -> ComparedRanking:
        used = outcome.fusion or fusion or self.service.fusion(outcome.model)
        mapping = self.service.mapping(outcome.model) if outcome.ranking is None else outcome.mapping
        return compared_ranking(outcome, used, mapping, response)
