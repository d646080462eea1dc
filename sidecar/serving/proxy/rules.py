"""The rules of the settings: which searches are reranked unrequested, and which share of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.search_body import SearchBody, url_params
from sidecar.core.errors import ConfigurationError, FusionError
from sidecar.core.fusion import Fusion, Method, Normalization
from sidecar.serving.proxy.index_expression import IndexExpression

# Characters that no index name holds; a date in a rule would be that of no search.
_NO_INDEX = frozenset('\\/?"<>| #[]')
# Parameters of a URL that make a query; with `q` it replaces the body's.
_URL_QUERY = ("q", "df", "default_operator", "analyzer", "analyze_wildcard", "lenient")


class RequestedFusion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A fusion as `ext.rerank` and rules write it out."""

    method: Method = Method.LINEAR
    normalization: Normalization = Normalization.MIN_MAX
    weight: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    rank_constant: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 60


def fusion_of(requested: RequestedFusion | Method) -> Fusion:
    """Return the requested fusion. Raises `FusionError` for an unsound one."""
    if isinstance(requested, Method):
        return Fusion(requested)
    return Fusion(requested.method, requested.normalization, requested.weight, requested.rank_constant)


class Arm(StrEnum):
    """The arm of an experiment that a covered search falls into."""

    TREATMENT = "treatment"
    CONTROL = "control"
    SHADOW = "shadow"


class Rule(BaseModel):
    """A rule: searches all of whose indices are among those of `index` are reranked, even if they do not request it.

    `index` is an index expression, as `logs-*,-logs-old`. `percent` of the searches are reranked, the same ones at
    every page. With `shadow` the answer is the first stage's, and the effect of reranking is only counted. The rest is
    as in `ext.rerank`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("rule", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    index: str = Field("*", min_length=1)
    percent: float = Field(100, ge=0, le=100)
    shadow: bool = False
    model: str | None = None
    window: int | None = Field(None, ge=1, le=10_000)
    document_fields: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(None, min_length=1)
    fusion: Fusion | None = None
    timeout_ms: int | None = Field(None, ge=1, le=600_000)
    min_relevance: float | None = Field(None, ge=0, le=1)

    @field_validator("index")
    @classmethod
    def _is_an_expression(cls, value: str) -> str:
        wrong = sorted(_NO_INDEX & set(value))
        if wrong:
            raise ValueError(f"{value!r} holds {wrong[0]!r}, which no index name does; the only wildcard is *")
        return value

    @field_validator("fusion", mode="before")
    @classmethod
    def _as_in_a_search(cls, value: object) -> Fusion | None:
        try:
            requested = msgspec.convert(value, RequestedFusion | Method | None)
            return None if requested is None else fusion_of(requested)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        except FusionError as error:
            raise ValueError(error.message) from None

    def covers(self, index: str) -> bool:
        """Whether every index that an index expression may reach is one of this rule's."""
        return self._expression.covers(IndexExpression.parse(index))

    def arm(self, index: str, body: SearchBody, url: str = "") -> Arm:
        """Return the arm of a search that this rule covers; `url` is the query string of its URL."""
        # Where all are reranked, which is usual, nothing is drawn: a draw parses the search.
        if self.percent < 100 and _draw(index, body, url) >= self.percent:
            return Arm.CONTROL
        return Arm.SHADOW if self.shadow else Arm.TREATMENT

    @cached_property
    def _expression(self) -> IndexExpression:
        return IndexExpression.parse(self.index)


def rules_of(settings: Sequence[dict[str, object]], models: Sequence[str]) -> tuple[Rule, ...]:
    """Read the rules of the settings. Raises a `ConfigurationError` that names the wrong rule and its fault."""
    found = []
    for number, rule in enumerate(settings, 1):
        try:
            found.append(Rule.model_validate({"name": f"rule-{number}", **rule}))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            words = first["msg"].removeprefix("Value error, ")
            raise ConfigurationError(
                f"rules: rule {number}, {place}: {words}.", remedy="See docs/how-to/rollout.md."
            ) from None
        if found[-1].model not in {None, *models}:
            message = f"rules: rule {number}: no model {found[-1].model} is declared."
            raise ConfigurationError(message, remedy=f"Declared are {', '.join(models)}.")
    names = [rule.name for rule in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"rules: two are called {twice}.", remedy="Give each a name of its own, or none.")
    return tuple(found)


def rule_for(rules: Sequence[Rule], index: str) -> Rule | None:
    """The first rule that covers an index expression ("" for all indices)."""
    return next((rule for rule in rules if rule.covers(index)), None)


def search_identity(index: str, body: SearchBody, url: str = "") -> str:
    """Return a name that all pages of a search share and that reveals nothing of it: its index and query, hashed.

    The query is the one in the query string `url`, else the body's.
    """
    same = index.encode("utf-8", "replace") + b"\0" + (_query_in_url(url) or _query_in_body(body))
    return hashlib.blake2b(same, digest_size=8).hexdigest()


def _query_in_url(url: str) -> bytes:
    """Return what makes the query of a query string, empty if there is no `q`."""
    params = url_params(url)
    return urlencode([(name, params[name]) for name in _URL_QUERY if name in params]).encode() if "q" in params else b""


def _query_in_body(body: SearchBody) -> bytes:
    try:
        return bytes(body.members.get("query", b""))
    except raw_json.Malformed:
        return b""


def _draw(index: str, body: SearchBody, url: str) -> float:
    """Return a number in [0, 100) that is the same for every page of a search."""
    return int(search_identity(index, body, url), 16) / 2**64 * 100
