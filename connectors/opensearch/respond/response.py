"""The very response OpenSearch gave, its hits in another order. Pure: bytes in, bytes out.

Replaced are the order of the hits, their `_score`, and `max_score`; cut is the page asked for. All else (total,
aggregations, highlight, `_source`, `_shards`, `took`, …) keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.respond import documents
from connectors.opensearch.respond.scores import scores_below, window_scores
from connectors.opensearch.rewrite.field_plan import FieldPlan
from connectors.opensearch.rewrite.filter_path import filtered
from connectors.opensearch.rewrite.request import Plan
from sidecar.core.candidates import Candidate, Ranking
from sidecar.core.documents import PassageFields


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """A search response taken apart: `top` are its members, `hits` those of its `hits`, `found` the hits themselves."""

    top: dict[str, msgspec.Raw]
    hits: dict[str, msgspec.Raw]
    found: list[msgspec.Raw]

    @property
    def failed_shards(self) -> int:
        """How many shards could not answer; their hits are missing."""
        return msgspec.json.decode(self.top.get("_shards", b"{}"), type=_Shards).failed


class _Shards(msgspec.Struct):
    failed: int = 0


class _Hit(msgspec.Struct, rename={"index": "_index", "docid": "_id", "score": "_score", "source": "_source"}):
    index: str = ""
    docid: str = ""
    score: float | None = None
    source: msgspec.Raw = msgspec.Raw(b"{}")
    fields: msgspec.Raw = msgspec.Raw(b"{}")


def read(response: bytes) -> SearchResponse:
    """Take a response apart. Raises `splice.Malformed` where it holds no hits."""
    try:
        return _read(response)
    except raw_json.Malformed:
        return _read(raw_json.escape_surrogates(response))


def _read(response: bytes) -> SearchResponse:
    top = raw_json.members(response)
    hits = raw_json.members(top.get("hits", b""))
    return SearchResponse(top, hits, raw_json.elements(hits.get("hits", b"")))


def candidates(
    answer: SearchResponse, plan: Plan, fields: PassageFields, reading: FieldPlan | None = None
) -> list[Candidate]:
    """List the hits of the window, read by `reading` if there is one, else by `fields`.

    Raises `splice.Malformed` where a hit has no score.
    """
    reading = reading or FieldPlan(fields)
    found = []
    for rank, raw in enumerate(answer.found[: plan.window], start=1):
        try:
            hit = msgspec.json.decode(raw, type=_Hit)
        except msgspec.DecodeError as error:
            raise raw_json.Malformed(str(error)) from error
        if hit.score is None:
            raise raw_json.Malformed(f"hit {hit.docid!r} has no score")
        # `fields` first: where it was borrowed, `_source` is what the caller's filters left of it.
        read_from = (hit.fields, hit.source) if plan.borrowed else (hit.source, hit.fields)
        found.append(Candidate(hit.docid, rank, hit.score, documents.passage(read_from, reading.of(hit.index))))
    return found


def without_text(answer: SearchResponse, candidates: Sequence[Candidate]) -> tuple[list[str], bool]:
    """List the indexes of which no candidate has text (a title is none), and tell whether they are all there are."""
    if all(map(_shows_text, candidates)):
        return [], False
    shows: dict[str, bool] = {}
    for raw, candidate in zip(answer.found, candidates, strict=False):
        index = msgspec.json.decode(raw, type=_Hit).index
        shows[index] = shows.get(index, False) or _shows_text(candidate)
    return [index for index, any_text in shows.items() if not any_text], not any(shows.values())


def _shows_text(candidate: Candidate) -> bool:
    text = candidate.passage.text
    return text != "" and not text.isspace()


def sources(answer: SearchResponse) -> list[bytes]:
    """List each hit's `_source` as one line of JSON, null where there is none."""
    found = [raw_json.members(hit).get("_source", b"null") for hit in answer.found]
    # A source comes back as it was sent, line ends between its tokens included.
    return [b" ".join(raw_json.mended(bytes(source)).splitlines()) for source in found]


def respond(answer: SearchResponse, plan: Plan, ranking: Ranking) -> bytes:
    """Cut the caller's page out of the reranked list.

    The scored hits come first, then the rest in the engine's order: what had no text, then what lies beyond the
    window. If nothing was scored, the engine's own scores stay.
    """
    scored = [hit for hit in ranking.hits if hit.score is not None]
    order = _order(answer, ranking)
    mapped = window_scores([hit.score for hit in scored if hit.score is not None])
    hits = dict(answer.hits)
    if mapped:
        mapped += scores_below(min(mapped), len(order) - len(mapped))
        if bytes(hits.get("max_score", b"null")) != b"null":
            hits["max_score"] = _number(max(mapped))
    page = [
        _hit(answer.found[position], mapped[place] if mapped else None, plan.borrowed)
        for place, position in _page(order, plan)
    ]
    hits["hits"] = msgspec.Raw(b"[" + b",".join(page) + b"]")
    whole = raw_json.restore_surrogates(raw_json.joined(answer.top | {"hits": msgspec.Raw(raw_json.joined(hits))}))
    return filtered(whole, plan.filters)


def page_of(answer: SearchResponse, plan: Plan, ranking: Ranking) -> list[msgspec.Raw]:
    """The hits of the caller's page, as they are, in their final order."""
    return [answer.found[position] for _, position in _page(_order(answer, ranking), plan)]


def _order(answer: SearchResponse, ranking: Ranking) -> list[int]:
    """Places of the hits in the engine's order, in their final one."""
    order = [hit.candidate.rank - 1 for hit in ranking.hits if hit.score is not None]
    return order + sorted(set(range(len(answer.found))) - set(order))


def _page(order: list[int], plan: Plan) -> list[tuple[int, int]]:
    return list(enumerate(order))[plan.start : plan.start + plan.size]


def _hit(raw: msgspec.Raw, score: float | None, borrowed: frozenset[str]) -> bytes:
    """One hit with its new score, if any, and without what was borrowed."""
    if score is None and not borrowed:
        return bytes(raw)
    hit = raw_json.members(raw)
    if score is not None:
        hit["_score"] = _number(score)
    if borrowed and "fields" in hit:
        fields = {name: value for name, value in raw_json.members(hit["fields"]).items() if name not in borrowed}
        if fields:
            hit["fields"] = msgspec.Raw(raw_json.joined(fields))
        else:
            del hit["fields"]
    return raw_json.joined(hit)


def _number(value: float) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
