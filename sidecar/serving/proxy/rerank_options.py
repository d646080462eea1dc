"""Reads from a search what it asks of the sidecar: its `ext.rerank`, and the rules of the settings. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.json_text import json_text
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.fusion import Fusion, Method
from sidecar.core.reasons import Reason, Why
from sidecar.serving.proxy.rules import Arm, AskedFusion, Rule, fusion_of, rule_for

MOST_FIELDS = 100
OnFailure = Literal["first-stage", "error"]
_NO_RULE = Rule.model_validate({})


class RequestedOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A body's `ext.rerank`: OpenSearch's own `query_context`, and what we add; None where it says nothing."""

    query_context: msgspec.Raw = msgspec.Raw()
    window: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    model: str | None = None
    # The work on a document grows with its fields: a body of 4 MB with 900,000 of them took 20 seconds.
    document_fields: Annotated[list[str], msgspec.Meta(max_length=MOST_FIELDS)] | None = None
    fusion: AskedFusion | Method | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] | None = None
    explain: bool = False
    on_failure: OnFailure | None = None


@dataclass(frozen=True, slots=True)
class RerankOptions:
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
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision about a search: the `terms` to rerank it by, or why a rule leaves it out; neither if nobody asks.

    `asked` is whether it asks itself, in its `ext.rerank`; else `rule` decides, and `arm` is what it decided.
    """

    terms: RerankOptions | None = None
    left_out: Why | None = None
    asked: bool = False
    rule: Rule | None = None
    arm: Arm | None = None

    @property
    def concerns_us(self) -> bool:
        """Whether anybody asks for reranking, if only to be told that it is not done."""
        return self.terms is not None or self.left_out is not None

    @property
    def said_rule(self) -> str:
        """The rule and what it decided, as `X-Rerank-Rule` says it; empty where no rule decides."""
        return f"{self.rule.name}; arm={self.arm}" if self.rule else ""


UNDECIDED = Decision()


def requested_options(body: bytes) -> RequestedOptions | None:
    """Read `ext.rerank` of a search body; None where there is none, or no JSON to read.

    Raises `InputError` where it is there and malformed.
    """
    text = json_text(body)
    # A key may be written with escapes, too.
    if b"rerank" not in text and b"\\u" not in text:
        return None
    try:
        ours = raw_json.members(raw_json.members(raw_json.escape_surrogates(text)).get("ext", b"{}")).get("rerank")
    except raw_json.Malformed:
        return None
    if ours is None:
        return None
    try:
        found = msgspec.json.decode(raw_json.mended(bytes(ours)), type=RequestedOptions | None)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"ext.rerank: {error}", remedy="See the sidecar's documentation of ext.rerank.") from None
    return RequestedOptions() if found is None else found


def decide(index: str, body: bytes, rules: Sequence[Rule], defaults: RerankOptions, models: Sequence[str]) -> Decision:
    """Decide by a search's own words, else by the first rule that covers its index expression ("" for all).

    Raises `InputError` or `FusionError` for what can't be.
    """
    asked = requested_options(body)
    rule = rule_for(rules, index)
    if asked is not None:
        return Decision(terms(asked, rule, defaults, models), asked=True)
    if rule is None:
        return UNDECIDED
    arm = rule.arm(index, body)
    if arm is Arm.CONTROL:
        words = f"it is outside the {rule.percent:g} % of searches that rule {rule.name} reranks"
        return Decision(left_out=Why(Reason.CONTROL, words), rule=rule, arm=arm)
    return Decision(terms(RequestedOptions(), rule, defaults, models), rule=rule, arm=arm)


def terms(asked: RequestedOptions, rule: Rule | None, defaults: RerankOptions, models: Sequence[str]) -> RerankOptions:
    """Fill in what was not asked for: by the rule, then by the settings. Raises `InputError` for an unknown model."""
    rule = rule or _NO_RULE
    model = asked.model or rule.model or defaults.model
    if model not in models:
        raise InputError(f"there is no model {model!r} here.", remedy=f"Declared are {', '.join(models)}.")
    fields = rule.document_fields if asked.document_fields is None else asked.document_fields
    timeout_ms = asked.timeout_ms or rule.timeout_ms
    return RerankOptions(
        model=model,
        fusion=(rule.fusion or defaults.fusion) if asked.fusion is None else fusion_of(asked.fusion),
        window=asked.window or rule.window or defaults.window,
        fields=defaults.fields if fields is None else PassageFields(title=(), text=tuple(fields)),
        seconds=timeout_ms / 1000 if timeout_ms else defaults.seconds,
        on_failure=asked.on_failure or defaults.on_failure,
        explain=asked.explain,
        rule="" if rule is _NO_RULE else rule.index,
    )
