"""Read OpenSearch's User Behavior Insights as judgements: clicked documents, and documents skipped above a click.

The rule is Joachims' "click > skip above" (KDD 2002): a reader who clicks the third hit has seen the first two and
skipped them; whether a hit below the last click was seen is unknown. So in one search a clicked
document counts as liked, one that was shown above the last click as skipped, and all others as unseen.
Over all searches with the same query text a document is relevant (1) if it was liked more often than skipped, and
irrelevant (0) if not; a document that was always unseen has no label.

Source of the field names: the UBI schemas 1.0 in OpenSearch's documentation (`ubi_queries`, `ubi_events`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.errors import InputError
from sidecar.core.json_lines import parse, records

# What ends a sentence or a part of one, and quotation marks.
_SENTENCE_MARKS = re.compile(r"[?!.,;:]+(?=\s|$)|[\"“”„«»]")
_SHOWN = 8
_HITS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRANGE = "not a document of UBI"
_EXPECTED = "Expected the documents of ubi_queries and ubi_events, one JSON object a line."


class _Query(msgspec.Struct):
    query_id: str
    user_query: str
    query_response_hit_ids: list[str | int] = []


class _Object(msgspec.Struct):
    object_id: str | int | None = None


class _Position(msgspec.Struct):
    ordinal: int | None = None


class _Attributes(msgspec.Struct):
    object: _Object | None = None
    position: _Position | None = None


class _Event(msgspec.Struct):
    action_name: str
    query_id: str | None = None
    event_attributes: _Attributes | None = None


@dataclass(slots=True)
class _Search:
    """One search: the documents shown at each position, and the clicked ones."""

    text: str
    shown: dict[str, int]
    clicked: set[str]


@dataclass(frozen=True, slots=True)
class Clicked:
    """Judgements from clicks: the text of each query by an id that is made here, and its documents' labels, 1 or 0.

    `searches` counts those with a click, `unknown` the events of a query that the log of queries lacks.
    """

    topics: dict[str, str]
    qrels: dict[str, dict[str, int]]
    searches: int
    unknown: int


def read_clicks(queries: Path, events: Path, *, action: str = "click") -> Clicked:
    """Read both logs, JSON lines of the documents (or of hits with the document in `_source`), in bounded memory.

    `action` is the `action_name` of a click. `impression` events and a query's `query_response_hit_ids` say which
    document was shown at which position; an event's own position takes precedence. Raises InputError with file and
    line; and if nothing was clicked, with the actions that the log has.
    """
    searches = {
        found.query_id: _Search(
            found.user_query, {str(docid): rank for rank, docid in enumerate(found.query_response_hit_ids, 1)}, set()
        )
        for found in _records(queries, _Query)
        if found.user_query.strip()
    }
    unknown = 0
    actions: Counter[str] = Counter()
    for event in _records(events, _Event):
        actions[event.action_name] += 1
        if event.action_name not in {action, "impression"} or event.query_id is None:
            continue
        search = searches.get(event.query_id)
        if search is None:
            unknown += 1
        else:
            _add(search, event, clicked=event.action_name == action)
    clicked = [search for search in searches.values() if search.clicked]
    if not clicked:
        raise _nothing_clicked(events, action, actions, unknown)
    return _judged(clicked, unknown)


def _records(path: Path, kind: type[Any]) -> Iterator[Any]:
    decoder = msgspec.json.Decoder(kind)
    for where, line in records(path):
        hit = parse(line, where, _HITS, what=_STRANGE, remedy=_EXPECTED)
        yield parse(bytes(hit.get("_source", line)), where, decoder, what=_STRANGE, remedy=_EXPECTED)


def _nothing_clicked(events: Path, action: str, actions: Counter[str], unknown: int) -> InputError:
    if actions[action]:
        strange = f" ({unknown} events are of queries that the log of queries lacks)" if unknown else ""
        return InputError(
            f"{events}: none of the {actions[action]} {action!r} events names a known query and a document{strange}.",
            remedy="Give ubi_queries of the same time; a click has its document in event_attributes.object.object_id.",
        )
    names = ", ".join(f"{name!r} ({count})" for name, count in actions.most_common(_SHOWN)) or "no event"
    return InputError(
        f"{events} has no event with the action_name {action!r}, but {names}.",
        remedy="Name the action that is a click: --click-action NAME.",
    )


def _add(search: _Search, event: _Event, *, clicked: bool) -> None:
    attributes = event.event_attributes or _Attributes()
    if attributes.object is None or attributes.object.object_id is None:
        return
    docid = str(attributes.object.object_id)
    if attributes.position is not None and attributes.position.ordinal is not None:
        search.shown[docid] = attributes.position.ordinal
    if clicked:
        search.clicked.add(docid)


def _query_id(text: str) -> str:
    """Return a name that searches for the same share: case, white space and the marks of a sentence do not count.

    Other marks do: C, C++ and C# are three queries.
    """
    words = _SENTENCE_MARKS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split()
    return "-".join(words or text.split())


def _judged(searches: list[_Search], unknown: int) -> Clicked:
    topics: dict[str, str] = {}
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for search in searches:
        qid = _query_id(search.text)
        topics.setdefault(qid, search.text)
        # A click without a known position says nothing about the hits above it.
        last = max((search.shown[docid] for docid in search.clicked if docid in search.shown), default=0)
        for docid in search.clicked:
            counts[qid][docid][0] += 1
        for docid, position in search.shown.items():
            if position < last and docid not in search.clicked:
                counts[qid][docid][1] += 1
    qrels = {
        qid: {docid: int(likes > passes) for docid, (likes, passes) in found.items()} for qid, found in counts.items()
    }
    return Clicked(topics, qrels, len(searches), unknown)
