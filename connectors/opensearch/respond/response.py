"""OpenSearch's own response with its hits in another order. Bytes in, bytes out, no I/O.

It replaces the order of the hits, their `_score` and `max_score`, and cuts the page that was requested. On request it
writes what `additions.py` adds: the true `took`, an explanation, spans in highlights. All else (total, aggregations,
`_source`, `_shards`, …) keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.respond.additions import NO_ADDITIONS, Additions, HitAdditions, encoded
from connectors.opensearch.respond.scores import scores_below, window_scores
from connectors.opensearch.rewrite.field_plan import FieldPlan
from connectors.opensearch.rewrite.filter_path import filtered
from connectors.opensearch.rewrite.request import Plan
from sidecar.core.candidates import Candidate, Passage, Ranking
from sidecar.core.documents import PassageFields, passage_in


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """A parsed search response: `top` are its members, `hits` those of its `hits`, `found` the hits themselves."""

    top: dict[str, msgspec.Raw]
    hits: dict[str, msgspec.Raw]
    found: list[msgspec.Raw]

    @property
    def failed_shards(self) -> int:
        """The number of shards that could not answer; their hits are missing."""
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
    """Parse a response. Raises `raw_json.Malformed` if it holds no hits."""
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

    Raises `raw_json.Malformed` if a hit has no score.
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
        # `fields` first: if it was borrowed, `_source` is what the caller's filters left of it.
        read_from = (hit.fields, hit.source) if plan.borrowed else (hit.source, hit.fields)
        found.append(Candidate(hit.docid, rank, hit.score, passage(read_from, reading.of(hit.index))))
    return found


def passage(sources: Iterable[msgspec.Raw], fields: PassageFields) -> Passage:
    """Read title and text of a hit; `sources` are the objects to look in, best first. Raises `raw_json.Malformed`."""
    return passage_in([raw_json.members(source) for source in sources], fields, _opened)


def _opened(value: msgspec.Raw) -> Any:
    """Parse one level: an object's or array's values stay raw, a number is its text; None for true, false and null."""
    first = bytes(value)[:1]
    if first == b"{":
        return raw_json.members(value)
    if first == b"[":
        return raw_json.elements(value)
    if first == b'"':
        return raw_json.text(value)
    return bytes(value).decode() if first in b"-0123456789" else None


def without_text(answer: SearchResponse, candidates: Sequence[Candidate]) -> tuple[list[str], bool]:
    """List the indexes of which no candidate has text (titles do not count), and tell whether these are all indexes."""
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
    """List each hit's `_source` as one line of JSON, null if there is none."""
    found = [raw_json.members(hit).get("_source", b"null") for hit in answer.found]
    # A source comes back as it was indexed, with line ends between its tokens.
    return [b" ".join(raw_json.mended(bytes(source)).splitlines()) for source in found]


def respond(answer: SearchResponse, plan: Plan, ranking: Ranking, added: Additions = NO_ADDITIONS) -> bytes:
    """Cut the caller's page out of the reranked list.

    The scored hits come first, then the others in the engine's order: hits without text, then hits beyond the window.
    If nothing was scored, the engine's own scores stay. Of a ranking with a `cut` no other hit follows.
    """
    scored = [hit for hit in ranking.hits if hit.score is not None]
    order = _order(answer, ranking)
    mapped = window_scores([hit.score for hit in scored if hit.score is not None])
    hits = dict(answer.hits)
    if mapped:
        mapped += scores_below(min(mapped), len(order) - len(mapped))
    if (mapped or ranking.cut) and bytes(hits.get("max_score", b"null")) != b"null":
        hits["max_score"] = encoded(max(mapped, default=None))
    page = []
    for number, (place, position) in enumerate(_page(order, plan)):
        score = mapped[place] if mapped else None
        page.append(_hit(answer.found[position], score, plan.borrowed, added.of(number)))
    hits["hits"] = msgspec.Raw(b"[" + b",".join(page) + b"]")
    top = answer.top | {"hits": msgspec.Raw(raw_json.joined(hits))}
    added.write(top)
    return filtered(raw_json.restore_surrogates(raw_json.joined(top)), added.shown_by(plan.filters))


def unranked(response: bytes, added: Additions) -> bytes:
    """Write the additions into a response whose hits stay as they are; what is no JSON object keeps its bytes."""
    if added is NO_ADDITIONS:
        return response
    try:
        top = raw_json.members(raw_json.escape_surrogates(response))
    except raw_json.Malformed:
        return response
    added.write(top)
    return raw_json.restore_surrogates(raw_json.joined(top))


def page_of(answer: SearchResponse, plan: Plan, ranking: Ranking) -> list[msgspec.Raw]:
    """Return the hits of the caller's page, as they are, in their final order."""
    return [answer.found[position] for _, position in _page(_order(answer, ranking), plan)]


def _order(answer: SearchResponse, ranking: Ranking) -> list[int]:
    """Return the hits' places in the engine's order, in the final order."""
    order = [hit.candidate.rank - 1 for hit in ranking.hits if hit.score is not None]
    if ranking.cut is not None:
        return order
    return order + sorted(set(range(len(answer.found))) - set(order))


def _page(order: list[int], plan: Plan) -> list[tuple[int, int]]:
    return list(enumerate(order))[plan.start : plan.start + plan.size]


def _hit(raw: msgspec.Raw, score: float | None, borrowed: frozenset[str], added: HitAdditions | None) -> bytes:
    """Write one hit with its new score and what is added to it, if anything, and without the borrowed fields."""
    if score is None and not borrowed and added is None:
        return bytes(raw)
    hit = raw_json.members(raw)
    if score is not None:
        hit["_score"] = encoded(score)
    if borrowed and "fields" in hit:
        fields = {name: value for name, value in raw_json.members(hit["fields"]).items() if name not in borrowed}
        if fields:
            hit["fields"] = msgspec.Raw(raw_json.joined(fields))
        else:
            del hit["fields"]
    if added is not None:
        added.write(hit)
    return raw_json.joined(hit)
