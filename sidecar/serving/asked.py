"""What a search asks of the sidecar: its `ext.rerank`, and the rules of the settings. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from sidecar.documents import PassageFields
from sidecar.errors import InputError
from sidecar.fusion import Fusion, Method, Normalization

MOST_FIELDS = 100
OnFailure = Literal["first-stage", "error"]


class Rule(BaseModel):
    """What to rerank without being asked: searches whose every index matches `index`, a pattern as `logs-*`.

    `percent` of the searches are reranked, the same ones at every page. With `shadow` the answer is the first stage's,
    and what reranking would have done is only counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: str = Field("*", min_length=1)
    percent: float = Field(100, ge=0, le=100)
    shadow: bool = False
    model: str | None = None
    window: int | None = Field(None, ge=1, le=10_000)

    def covers(self, index: str) -> bool:
        """Whether every index of a search's index expression matches."""
        return all(fnmatchcase(name, self.index) for name in index.split(","))


class _AskedFusion(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    method: Method = Method.LINEAR
    normalization: Normalization = Normalization.MIN_MAX
    weight: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    rank_constant: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 60


class Asked(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A body's `ext.rerank`: OpenSearch's own `query_context`, and what we add; None where it says nothing."""

    query_context: msgspec.Raw = msgspec.Raw()
    window: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    model: str | None = None
    # The work on a document grows with its fields: a body of 4 MB with 900,000 of them took 20 seconds.
    document_fields: Annotated[list[str], msgspec.Meta(max_length=MOST_FIELDS)] | None = None
    fusion: _AskedFusion | Method | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] | None = None
    explain: bool = False
    on_failure: OnFailure | None = None


class _Mention(msgspec.Struct):
    ext: dict[str, msgspec.Raw] | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """How one search is reranked, all defaults filled in; `seconds` is its whole budget.

    `rule` is the index pattern of the rule that has a say in it, "" for none.
    """

    model: str
    fusion: Fusion
    window: int
    fields: PassageFields
    seconds: float
    on_failure: OnFailure
    explain: bool = False
    shadow: bool = False
    rule: str = ""


def asked_in(body: bytes) -> Asked | None:
    """Read `ext.rerank` of a search body; None where there is none, or no JSON to read.

    Raises `InputError` where it is there and malformed.
    """
    if b'"rerank"' not in body:
        return None
    try:
        mention = msgspec.json.decode(body, type=_Mention).ext
        if mention is None or "rerank" not in mention:
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    try:
        found = msgspec.json.decode(mention["rerank"], type=Asked | None)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"ext.rerank: {error}", remedy="See the sidecar's documentation of ext.rerank.") from None
    return Asked() if found is None else found


def rule_for(rules: Sequence[Rule], index: str, body: bytes) -> Rule | None:
    """The first rule that covers the index, if this search is among its share."""
    rule = next((rule for rule in rules if rule.covers(index or "_all")), None)
    return rule if rule is not None and _draw(index, body) < rule.percent else None


def terms(asked: Asked, rule: Rule | None, defaults: Terms, models: Sequence[str]) -> Terms:
    """Fill in what was not asked for: by the rule, then by the settings. Raises `InputError` for an unknown model."""
    model = asked.model or (rule.model if rule else None) or defaults.model
    if model not in models:
        raise InputError(f"there is no model {model!r} here.", remedy=f"Declared are {', '.join(models)}.")
    fields = defaults.fields
    if asked.document_fields is not None:
        fields = PassageFields(title=(), text=tuple(asked.document_fields))
    return Terms(
        model=model,
        fusion=_fusion(asked.fusion, defaults.fusion),
        window=asked.window or (rule.window if rule else None) or defaults.window,
        fields=fields,
        seconds=asked.timeout_ms / 1000 if asked.timeout_ms else defaults.seconds,
        on_failure=asked.on_failure or defaults.on_failure,
        explain=asked.explain,
        shadow=rule.shadow if rule else False,
        rule=rule.index if rule else "",
    )


def _fusion(asked: _AskedFusion | Method | None, default: Fusion) -> Fusion:
    """Raises `FusionError` for an unsound one."""
    if asked is None:
        return default
    if isinstance(asked, Method):
        return Fusion(asked)
    return Fusion(asked.method, asked.normalization, asked.weight, asked.rank_constant)


def search_identity(index: str, body: bytes) -> str:
    """A name that all pages of a search share and that tells nothing of it: its index and query, hashed."""
    try:
        search = msgspec.json.decode(body, type=dict[str, msgspec.Raw]) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        search = {}
    same = index.encode("utf-8", "replace") + b"\0" + bytes(search.get("query", b""))
    return hashlib.blake2b(same, digest_size=8).hexdigest()


def _draw(index: str, body: bytes) -> float:
    """A number in [0, 100) that is the same for every page of a search."""
    return int(search_identity(index, body), 16) / 2**64 * 100
