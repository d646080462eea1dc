"""Types shared by the dialects: a question, its answer, the operation between them, and error formats. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.core.spans import Span, SpanOptions
from sidecar.core.stage_two import StageTwo
from sidecar.serving.rerank_api.problem import Fault, Problem

STATUSES = {
    Fault.NOT_JSON: 400,
    Fault.INVALID: 422,
    Fault.EMPTY: 400,
    Fault.TOO_LARGE: 413,
    Fault.BODY_TOO_LARGE: 413,
    Fault.BODY_TOO_SLOW: 408,
    Fault.NO_KEY: 401,
    Fault.WRONG_HOST: 403,
    Fault.NOT_FOUND: 404,
    Fault.WRONG_METHOD: 405,
    Fault.UNKNOWN_MODEL: 404,
    Fault.BUSY: 429,
    Fault.RATE_LIMITED: 429,
    Fault.UNAVAILABLE: 503,
    Fault.TOO_LATE: 504,
    Fault.FAILED: 500,
}


@dataclass(frozen=True, slots=True)
class Demands:
    """The demands of a request, beside its texts.

    Results less relevant than `min_relevance` are left out. A model reads the `instruction` instead of its own, and of
    each document `document_tokens` at most. `pair_tokens` limits query and document together. Requests of a lower
    `priority` number go first. `listwise` asks for stage two, by true or the generator's name. With `whole` a document
    that the model can't read to its end is an error. The `top` best documents (None: all) get the `spans`.
    """

    min_relevance: float = 0.0
    instruction: str | None = None
    document_tokens: int | None = None
    pair_tokens: int | None = None
    priority: int = 0
    listwise: bool | str = False
    whole: bool = False
    top: int | None = None
    spans: SpanOptions | None = None


class ParsedRequest(BaseModel):
    """A request's body in some dialect; unknown keys are ignored, as the vendors' servers do.

    `min_relevance`, `instruction` and `listwise` are ours, in every dialect: less relevant results are left out, a
    model that takes an instruction reads this one instead of its own, and a generator puts the first results in order.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str | None = None
    min_relevance: float = Field(0.0, ge=0, le=1)
    instruction: str | None = Field(None, min_length=1, max_length=2000)
    listwise: StrictBool | str = False

    @classmethod
    def names(cls) -> Iterator[str]:
        """Yield the keys that are read of a body."""
        for name, made in cls.model_fields.items():
            alias = made.validation_alias
            if isinstance(alias, AliasChoices):
                yield from (one for one in alias.choices if isinstance(one, str))
            else:
                yield alias if isinstance(alias, str) else name

    @property
    def demands(self) -> Demands:
        """Return what the request demands beside its texts; dialects add their own."""
        return Demands(self.min_relevance, self.instruction, listwise=self.listwise)


Body = TypeVar("Body", bound=ParsedRequest)


@dataclass(frozen=True, slots=True)
class Question:
    """A body as a question: passages to score against one query, or against one each. `param` names the passages."""

    queries: Sequence[str]
    passages: Sequence[Passage]
    model: str | None
    param: str = "documents"
    demands: Demands = Demands()

    @property
    def characters(self) -> int:
        """Return how many characters a model reads: the query's and the instruction's count for every passage."""
        times = len(self.passages) if len(self.queries) == 1 else 1
        texts = sum(len(passage.title) + len(passage.text) for passage in self.passages)
        return times * sum(map(len, self.queries)) + len(self.passages) * len(self.demands.instruction or "") + texts


@dataclass(frozen=True, slots=True)
class Scored:
    """One passage's score: `index` is its position in the request, `score` the model's exact one, for the order.

    `logit` is that score and `probability` its mapping to 0 to 1, both rounded for the answer. If stage two ordered the
    passages, all three are those of its place, and `place` decides between equal scores.
    """

    index: int
    score: float
    logit: float
    probability: float
    place: int = 0


@dataclass(frozen=True, slots=True)
class RankedDocuments:
    """Every passage's score in the request's order; `model` is the requested name, or the default's.

    `passages` are those that were read from the documents. If `calibrated`, a probability is one of relevance.
    `dropped` of the passages are left out as less relevant than was requested. `tokens` is how many tokens the model
    read for all passages, each with its query, None if that is not known. `cut` of the passages were not read to the
    end, because the model reads `max_length` tokens of a query and a passage. `spans` are those of passages by their
    index; `without_spans` documents have none because time or the number of sentences did not suffice. `stage_two` says
    what a generator made of the order, None if none was asked.
    """

    model: str
    identity: str
    scored: Sequence[Scored]
    passages: Sequence[Passage] = ()
    calibrated: bool = False
    dropped: int = 0
    tokens: int | None = None
    cut: int = 0
    max_length: int = 0
    spans: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    without_spans: int = 0
    stage_two: StageTwo | None = None

    @property
    def usage(self) -> dict[str, Any]:
        """Return `usage` in the shape of OpenAI's APIs; nothing if the tokens are not known."""
        return {} if self.tokens is None else {"usage": {"prompt_tokens": self.tokens, "total_tokens": self.tokens}}

    def best(self, top: int | None = None) -> list[Scored]:
        """Return the `top` best, equal scores in the request's order; None or 0 for all."""
        ranked = sorted(self.scored, key=lambda one: (-one.score, one.place, one.index))
        return ranked[:top] if top else ranked


@dataclass(frozen=True, slots=True)
class Dialect:
    """A vendor's error format: its body, and statuses that differ from `STATUSES`."""

    name: str
    tell: Callable[[int, Problem], Mapping[str, Any]]
    own_statuses: Mapping[Fault, int] = field(default_factory=dict)

    def status(self, fault: Fault) -> int:
        """Return the HTTP status for a fault."""
        return self.own_statuses.get(fault, STATUSES[fault])


@dataclass(frozen=True, slots=True)
class Operation(Generic[Body]):
    """One operation of a dialect: how its body is read and its answer written.

    `read` may raise `Problem`; `example` is a body for the documentation.
    """

    dialect: Dialect
    body: type[Body]
    read: Callable[[Body, PassageFields], Question]
    write: Callable[[Body, RankedDocuments], object]
    example: Mapping[str, Any]
