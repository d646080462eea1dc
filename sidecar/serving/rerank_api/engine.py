"""Answer every dialect: check a question's limits, and score it by a declared model, in time or not at all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sidecar.core.candidates import Score
from sidecar.core.errors import InputError, RateLimited, ScorerBusy, ScorerUnavailable, ScoringError
from sidecar.core.listwise_spec import wants_stage_two
from sidecar.core.read_options import ReadOptions
from sidecar.core.relevance_cut import UNCALIBRATED
from sidecar.core.spans import SpanOptions
from sidecar.core.token_counts import total_tokens
from sidecar.core.trace import Stage, tell
from sidecar.serving.http.held_bytes import HeldBytes
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.rerank_api.dialect import Demands, Question, RankedDocuments, Scored
from sidecar.serving.rerank_api.problem import Fault, Problem, over_the_rate
from sidecar.serving.rerank_api.relevance import plain
from sidecar.serving.rerank_api.stage_two import best_first, in_order_of
from sidecar.serving.scorer.protocol import USUAL_LENGTH
from sidecar.serving.scorer.service import RerankingService
from sidecar.serving.scorer.spans import find_spans
from sidecar.serving.scorer.stage_two import ServiceStageTwo
from sidecar.serving.scorer.terms import Terms

# Model names that clients send by default; the second is Infinity's.
DEFAULTS = frozenset({"default", "default/not-specified"})
CATCH_ALL = "*"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request; `seconds` is how long its scoring may take, `body_seconds` its arrival.

    `requests` is how many run at a time, `held` counts the bytes of their bodies. A batch has `batch` requests at most,
    with so many documents and characters together.
    """

    documents: int = 2000
    characters: int = 10_000_000
    seconds: float = 120.0
    body: int = 10 * 1024 * 1024
    body_seconds: float = 30.0
    requests: int = 64
    batch: int = 64
    held: HeldBytes = field(default_factory=HeldBytes)


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The names a request may give: the declared models, of which the first is the default, and aliases for them.

    The alias `*` stands for every unknown name.
    """

    declared: Sequence[str]
    aliases: Mapping[str, str]

    @property
    def listed(self) -> dict[str, str]:
        """Return every name, and the declared model that it stands for."""
        own = {name: name for name in self.declared}
        return own | {alias: name for alias, name in self.aliases.items() if alias != CATCH_ALL}

    def find(self, asked: str | None) -> str:
        """Return the declared model for a name. Raises `Problem` for an unknown one."""
        if not asked:
            return self.declared[0]
        name = self.aliases.get(asked, asked)
        if name in self.declared:
            return name
        if CATCH_ALL in self.aliases:
            return self.aliases[CATCH_ALL]
        if asked in DEFAULTS:
            return self.declared[0]
        known = ", ".join([*self.declared, *self.aliases])
        message = f"there is no model {asked[:80]!r} here; declared are {known}"
        raise Problem(Fault.UNKNOWN_MODEL, message, param="model")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Whose request a question is: its id, its caller, and the `deadline` by `time.perf_counter`."""

    identity: str
    caller: str
    deadline: float

    @property
    def seconds(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - time.perf_counter()


class RerankEngine:
    """Answers questions of every dialect."""

    def __init__(self, service: RerankingService, models: ModelNames, limits: RequestLimits, metrics: Metrics) -> None:
        self.service = service
        self.models = models
        self.limits = limits
        self.metrics = metrics

    def context(self, identity: str, caller: str) -> RequestContext:
        """Return the context of a request that starts now."""
        return RequestContext(identity, caller, time.perf_counter() + self.limits.seconds)

    async def answer(self, question: Question, context: RequestContext) -> RankedDocuments:
        """Score every passage of a question. Raises `Problem`."""
        with Stage("rerank") as stage:
            stage.quote("rerank.query", question.queries[0] if question.queries else "")
            stage.tell({"rerank.candidates": len(question.passages)})
            answer = await self._answer(question, context)
            stage.tell({"rerank.status": "applied", "rerank.scored": len(question.passages)})
            return answer

    async def _answer(self, question: Question, context: RequestContext) -> RankedDocuments:
        model = self.models.find(question.model)
        self._check(question)
        demands = question.demands
        self._check_demands(model, demands)
        stage_two = self._stage_two(demands)
        tell({"rerank.model": model})
        with Stage("score") as scoring:
            known = await self._all_scores(model, question, context)
        self.metrics.scored("rerank", model, len(known), scoring.seconds)
        self._check_demands(model, demands)  # again: the model may have been loaded only now
        mapping, least, cut = self.service.mapping(model), demands.min_relevance, sum(one.truncated for one in known)
        if cut and demands.whole:
            longer = f"{cut} of {len(known)} {question.param} are longer than the {self._max_length(model)} tokens"
            words = f"{longer} that the model reads with a query, and may not be cut"
            raise Problem(Fault.TOO_LARGE, words, param=question.param)
        kept = [(i, one.value) for i, one in enumerate(known) if not least or mapping(one.value) >= least]
        answer = RankedDocuments(
            question.model or model,
            context.identity,
            [Scored(i, one, plain(one), plain(mapping(one))) for i, one in kept],
            question.passages,
            calibrated=mapping.calibrated,
            dropped=len(known) - len(kept),
            tokens=total_tokens(known),
            cut=cut,
            max_length=self._max_length(model),
        )
        if stage_two is not None:
            terms = Terms(context.seconds, context.caller, demands.priority)
            ranking = await stage_two.reorder(best_first(question.queries[0], answer), terms)
            self.metrics.reordered("rerank", ranking)
            answer = in_order_of(ranking, answer)
        if demands.spans is None:
            return answer
        return await self._with_spans(answer, model, question, context)

    async def _with_spans(
        self, answer: RankedDocuments, model: str, question: Question, context: RequestContext
    ) -> RankedDocuments:
        """Add the spans of the best documents, as far as the time until the deadline suffices."""
        demands = question.demands
        wanted = [one.index for one in answer.best(demands.top)]
        found = await find_spans(
            self.service,
            model,
            question.queries[0],
            [question.passages[index] for index in wanted],
            demands.spans or SpanOptions(),
            Terms(context.seconds, context.caller, demands.priority, self._how(model, demands)),
        )
        spans = {index: own for index, own in zip(wanted, found.each, strict=True) if own}
        tokens = None if answer.tokens is None or found.tokens is None else answer.tokens + found.tokens
        return replace(answer, spans=spans, without_spans=found.missing, tokens=tokens)

    def _stage_two(self, demands: Demands) -> ServiceStageTwo | None:
        """Return the generator that a request asks for, None for none. Raises `Problem` for one that is not there."""
        own = self.service.stage_two
        try:
            return own if wants_stage_two(demands.listwise, "" if own is None else own.name) else None
        except InputError as error:
            raise Problem(Fault.INVALID, f"{error.message} {error.remedy}", param="listwise") from None

    def _how(self, model: str, demands: Demands) -> ReadOptions:
        """Return how the model is to read; a limit above its own changes nothing, nor do its scores."""
        most = self._max_length(model)
        tokens = demands.document_tokens if (demands.document_tokens or most) < most else None
        return ReadOptions(tokens, demands.instruction)

    def _max_length(self, model: str) -> int:
        loaded = self.service.scorers.loaded(model)
        return USUAL_LENGTH if loaded is None else loaded.max_length

    def _check_demands(self, model: str, demands: Demands) -> None:
        """Raise `Problem` for what the model can't do; what is not known before it is loaded passes."""
        loaded = self.service.scorers.loaded(model)
        if loaded is None:
            return
        if demands.min_relevance and not loaded.mapping.calibrated:
            raise Problem(Fault.INVALID, UNCALIBRATED.format(model=model), param="min_relevance")
        if demands.instruction is not None and not loaded.takes_instruction:
            raise Problem(Fault.INVALID, f"the model {model} takes no instruction", param="instruction")
        if (demands.document_tokens or loaded.max_length) < loaded.max_length and not loaded.cuts_documents:
            raise Problem(Fault.INVALID, f"{model} is remote, and cuts documents at {loaded.max_length} tokens")
        if demands.pair_tokens is not None and 0 <= demands.pair_tokens < loaded.max_length:
            words = f"the model reads pairs of {loaded.max_length} tokens; to cut documents use max_tokens_per_doc"
            raise Problem(Fault.INVALID, words, param="truncate_prompt_tokens")

    def _check(self, question: Question) -> None:
        """Raise `Problem` for a question that is empty or beyond a limit."""
        if not question.passages:
            raise Problem(Fault.EMPTY, f"{question.param} must not be empty", param=question.param)
        if not all(query.strip() for query in question.queries):
            raise Problem(Fault.EMPTY, "the query must not be empty", param="query")
        count, most = len(question.passages), self.limits.documents
        if count > most:
            raise Problem(Fault.TOO_LARGE, f"{count} {question.param} where {most} are allowed", param=question.param)
        self.check_characters([question], question.param)

    def check_characters(self, questions: Sequence[Question], param: str) -> None:
        """Raise `Problem` if questions of one request have too many characters together."""
        characters = sum(question.characters for question in questions)
        if characters > self.limits.characters:
            sent = f"{characters} characters, the query counted with each document"
            raise Problem(Fault.TOO_LARGE, f"{sent}, where {self.limits.characters} are allowed", param=param)

    async def _all_scores(self, model: str, question: Question, context: RequestContext) -> list[Score]:
        """Score every passage. Raises `Problem` if that fails, or not all are scored in time."""
        try:
            scores = await self._scores(model, question, context)
        except RateLimited as error:
            raise over_the_rate(error) from None
        except ScorerBusy as error:
            raise Problem(Fault.BUSY, error.message) from None
        except ScorerUnavailable as error:
            raise Problem(Fault.UNAVAILABLE, error.message) from None
        except ScoringError as error:
            raise Problem(Fault.FAILED, error.message) from None
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            done = f"{len(known)} of {len(scores)} passages were scored within {self.limits.seconds:g} s"
            raise Problem(Fault.TOO_LATE, f"{done}; they are cached, so another request continues from there")
        return known

    async def _scores(self, model: str, question: Question, context: RequestContext) -> list[Score | None]:
        """Score the passages, those with the same query together."""
        demands = question.demands
        terms = Terms(context.seconds, context.caller, demands.priority, self._how(model, demands))
        if len(question.queries) == 1:
            return await self.service.scores(model, question.queries[0], question.passages, terms)
        places: dict[str, list[int]] = {}
        for place, query in enumerate(question.queries):
            places.setdefault(query, []).append(place)
        wanted = [(query, [question.passages[place] for place in own]) for query, own in places.items()]
        lists = await self.service.scores_of_lists(model, wanted, terms)
        scores: list[Score | None] = [None] * len(question.passages)
        for own, found in zip(places.values(), lists, strict=True):
            for place, score in zip(own, found, strict=True):
                scores[place] = score
        return scores
