"""Decides on a search: its own `ext.rerank`, else the rules of the settings. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.highlight_tags import highlight_tags
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError, SidecarError
from sidecar.core.fusion import Fusion, Method
from sidecar.core.listwise_spec import wants_stage_two
from sidecar.core.reasons import Reason, Why
from sidecar.core.relevance_cut import REMEDY, UNCALIBRATED
from sidecar.core.spans import SpanOptions
from sidecar.serving.proxy.page_spans import PageSpans
from sidecar.serving.proxy.rules import Arm, RequestedFusion, Rule, fusion_of, rule_for

MOST_FIELDS = 100
OnFailure = Literal["first-stage", "error"]
_NO_RULE = Rule.model_validate({})


class RequestedSpans(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which spans of each hit of the page to return, and where: at most `max_spans` of those above `threshold`."""

    max_spans: Annotated[int, msgspec.Meta(ge=1, le=64)] = 3
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    output: Literal["beside", "highlight", "both"] = "beside"


class RequestedOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A body's `ext.rerank`: OpenSearch's own `query_context` and the sidecar's options; None for those not given."""

    query_context: msgspec.Raw = msgspec.Raw()
    window: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    model: str | None = None
    # The work on a document grows with its fields: a body of 4 MB with 900,000 of them took 20 seconds.
    document_fields: Annotated[list[str], msgspec.Meta(max_length=MOST_FIELDS)] | None = None
    fusion: RequestedFusion | Method | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] | None = None
    min_relevance: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    spans: RequestedSpans | bool = False
    listwise: bool | str | None = None
    explain: bool = False
    on_failure: OnFailure | None = None


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """Options of one reranking, all defaults filled in; `seconds` is its whole budget.

    `fusion` None is the fusion that the model prefers. Hits less relevant than `min_relevance` are left out; 0 keeps
    all. Hits of the page get their `spans`, if these are wanted. With `listwise` stage two follows;
    `generator` is the name of the one that the operator configured, "" for none. `rule` is the index pattern of the
    rule that fills in options, "" for none.
    """

    model: str
    fusion: Fusion | None
    window: int
    fields: PassageFields
    seconds: float
    on_failure: OnFailure
    min_relevance: float = 0.0
    spans: PageSpans | None = None
    listwise: bool = False
    generator: str = ""
    explain: bool = False
    rule: str = ""


@dataclass(frozen=True, slots=True)
class ParsedSearch:
    """One search, parsed once, and the decision about it.

    It is to be reranked with `options`, or a rule leaves it out for the reason `left_out`, or its `ext.rerank` is
    `refused`; none of these if nobody requests anything. `requested` tells whether the search itself requests it, in
    its `ext.rerank`; else `rule` decides, and `arm` is the decision. `header` is its header line in an `_msearch`; the
    whole of an `_msearch` has no body of its own and holds `searches`.
    """

    index: str = ""
    body: SearchBody = field(default_factory=lambda: SearchBody(b""))
    options: RerankOptions | None = None
    left_out: Why | None = None
    requested: bool = False
    rule: Rule | None = None
    arm: Arm | None = None
    refused: SidecarError | None = None
    header: bytes = b""
    searches: tuple[ParsedSearch, ...] = ()

    @property
    def concerns_us(self) -> bool:
        """Whether anybody requests reranking, if only to be told that it is not done."""
        return self.options is not None or self.left_out is not None

    @property
    def decided_by(self) -> str:
        """The rule and its decision, as `X-Rerank-Rule` has them; empty where no rule decides."""
        return f"{self.rule.name}; arm={self.arm}" if self.rule else ""


UNDECIDED = ParsedSearch()


def requested_options(body: SearchBody) -> RequestedOptions | None:
    """Read `ext.rerank` of a search body; None where there is none, or no JSON to read.

    Raises `InputError` where it is there and malformed.
    """
    # A key may be written with escapes, too.
    if b"rerank" not in body.text and b"\\u" not in body.text:
        return None
    try:
        ours = body.rerank
    except raw_json.Malformed:
        return None
    if ours is None:
        return None
    try:
        found = msgspec.json.decode(raw_json.mended(bytes(ours)), type=RequestedOptions | None)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"ext.rerank: {error}", remedy="See the sidecar's documentation of ext.rerank.") from None
    return RequestedOptions() if found is None else found


def parse_search(  # noqa: PLR0913  each comes from somewhere else
    index: str,
    body: SearchBody,
    rules: Sequence[Rule],
    defaults: RerankOptions,
    models: Sequence[str],
    *,
    url: str = "",
    calibrated: Callable[[str], bool | None] = lambda _: None,
) -> ParsedSearch:
    """Decide by a search's own `ext.rerank`, else by the first rule that covers its index expression ("" for all).

    `url` is the query string of its URL. `calibrated` tells whether a model's scores are probabilities, None if that is
    not known yet. Raises `InputError` or `FusionError` for an `ext.rerank` that can't be followed.
    """
    requested = requested_options(body)
    rule = rule_for(rules, index)
    if requested is not None:
        options = replace(options_for(requested, rule, defaults, models), spans=_page_spans(requested.spans, body))
        if options.min_relevance and calibrated(options.model) is False:
            raise InputError(f"ext.rerank: {UNCALIBRATED.format(model=options.model)}.", remedy=REMEDY)
        return ParsedSearch(index, body, options, requested=True)
    if rule is None:
        return ParsedSearch(index, body)
    arm = rule.arm(index, body, url)
    if arm is Arm.CONTROL:
        words = f"it is outside the {rule.percent:g} % of searches that rule {rule.name} reranks"
        return ParsedSearch(index, body, left_out=Why(Reason.CONTROL, words), rule=rule, arm=arm)
    options = options_for(RequestedOptions(), rule, defaults, models)
    return ParsedSearch(index, body, options, rule=rule, arm=arm)


def options_for(
    requested: RequestedOptions, rule: Rule | None, defaults: RerankOptions, models: Sequence[str]
) -> RerankOptions:
    """Fill in what was not requested, from the rule or else the settings. Raises `InputError` for an unknown model."""
    rule = rule or _NO_RULE
    model = requested.model or rule.model or defaults.model
    if model not in models:
        raise InputError(f"there is no model {model!r} here.", remedy=f"Declared are {', '.join(models)}.")
    fields = rule.document_fields if requested.document_fields is None else requested.document_fields
    timeout_ms = requested.timeout_ms or rule.timeout_ms
    return RerankOptions(
        model=model,
        fusion=(rule.fusion or defaults.fusion) if requested.fusion is None else fusion_of(requested.fusion),
        window=requested.window or rule.window or defaults.window,
        fields=defaults.fields if fields is None else PassageFields(title=(), text=tuple(fields)),
        seconds=timeout_ms / 1000 if timeout_ms else defaults.seconds,
        on_failure=requested.on_failure or defaults.on_failure,
        min_relevance=_first(requested.min_relevance, rule.min_relevance, defaults.min_relevance),
        listwise=defaults.listwise
        if requested.listwise is None
        else wants_stage_two(requested.listwise, defaults.generator),
        generator=defaults.generator,
        explain=requested.explain,
        rule="" if rule is _NO_RULE else rule.index,
    )


def _first(*given: float | None) -> float:
    """Return the first number that is given, 0 if none is."""
    return next((one for one in given if one is not None), 0.0)


def _page_spans(requested: RequestedSpans | bool, body: SearchBody) -> PageSpans | None:
    """Return which spans are wanted. Raises `InputError` for a `highlight` whose tags can't be read."""
    if requested is False:
        return None
    chosen = RequestedSpans() if requested is True else requested
    options = SpanOptions(chosen.max_spans, chosen.threshold)
    tags = None if chosen.output == "beside" else highlight_tags(body.members)
    return PageSpans(options, beside=chosen.output != "highlight", tags=tags)
