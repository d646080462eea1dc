"""The body of a comparison: one search, and the rerankings to compare for it. No I/O."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from connectors.opensearch import raw_json
from sidecar.core.errors import SidecarError
from sidecar.core.fusion import Fusion, Method
from sidecar.core.listwise_spec import wants_stage_two
from sidecar.serving.proxy.rerank_options import MOST_FIELDS
from sidecar.serving.proxy.rules import RequestedFusion, fusion_of
from sidecar.serving.rerank_api.problem import Fault, Problem

# A page shows two rankings; more at a time would only hold the device.
MOST_RANKINGS = 4
EngineName = Literal["lucene", "opensearch"]


class RequestedRanking(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One reranking of the candidates: its model (None: the default) and its fusion (None: the model's own).

    With `listwise` stage two follows, which true or the name of the configured generator asks for.
    """

    model: str | None = None
    fusion: RequestedFusion | Method | None = None
    listwise: bool | str = False

    def chosen_fusion(self, default: Fusion | None) -> Fusion | None:
        """Return the fusion, `default` if none is requested. Raises `FusionError` for an unsound one."""
        return default if self.fusion is None else fusion_of(self.fusion)


class TopSpans(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which spans to find, in the first `hits` of each reranking: at most `max_spans` of those above `threshold`."""

    hits: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    max_spans: Annotated[int, msgspec.Meta(ge=1, le=64)] = 3
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class ComparisonRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A search by words (`query`) or by a search body of OpenSearch (`body`), and what to compare.

    `engine` None is Lucene if one of its indexes has the name, else OpenSearch. `responses` adds the engine's own
    response in both orders.
    """

    index: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    query: str | None = None
    body: msgspec.Raw = msgspec.Raw()
    engine: EngineName | None = None
    window: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    document_fields: Annotated[list[str], msgspec.Meta(max_length=MOST_FIELDS)] | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=600_000)] | None = None
    rankings: Annotated[list[RequestedRanking], msgspec.Meta(min_length=1, max_length=MOST_RANKINGS)] = msgspec.field(
        default_factory=lambda: [RequestedRanking()]
    )
    spans: TopSpans | bool = False
    responses: bool = False

    @property
    def top_spans(self) -> TopSpans | None:
        """Return which spans to find, None for none."""
        return TopSpans() if self.spans is True else self.spans or None

    @property
    def search_body(self) -> bytes | None:
        """Return the search body, None if there is none."""
        raw = bytes(self.body)
        return None if raw in {b"", b"null"} else raw


def read_request(raw: bytes) -> ComparisonRequest:
    """Read the body of a comparison. Raises `Problem` if it is not JSON, or not as `ComparisonRequest` says."""
    try:
        found = msgspec.json.decode(raw_json.mended(raw), type=ComparisonRequest)
    except msgspec.ValidationError as error:
        raise Problem(Fault.INVALID, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(Fault.NOT_JSON, f"the body is not JSON: {error}") from None
    if (found.query is None) == (found.search_body is None):
        raise Problem(Fault.INVALID, "give either query or body", param="query")
    if found.query is not None and not found.query.strip():
        raise Problem(Fault.EMPTY, "the query must not be empty", param="query")
    return found


def stages_two_of(asked: ComparisonRequest, generator: str) -> list[bool]:
    """Return whether stage two follows each ranking. Raises `Problem` for a generator that is not configured."""
    try:
        return [wants_stage_two(one.listwise, generator) for one in asked.rankings]
    except SidecarError as error:
        raise Problem(Fault.INVALID, str(error).replace("\n", " "), param="listwise") from None


def fusions_of(asked: ComparisonRequest, default: Fusion | None) -> list[Fusion | None]:
    """Return the fusion of each ranking. Raises `Problem` for an unsound one."""
    try:
        return [one.chosen_fusion(default) for one in asked.rankings]
    except SidecarError as error:
        raise Problem(Fault.INVALID, str(error).replace("\n", " "), param="fusion") from None
