"""Additions of the sidecar to OpenSearch's response, to the whole of it and to each hit. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.filter_path import Filters


@dataclass(frozen=True, slots=True)
class Additions:
    """The additions to a response as a whole, and to its hits.

    `took` returns the milliseconds that the whole search took, at the time of writing. `rerank` is written as
    `ext.rerank`; `hits` are written as `_rerank` into the first hits of the page, in order. Each of `highlights`, in
    the same order, replaces the fields that it names in the `highlight` of a hit; a field with nothing is taken out.
    """

    took: Callable[[], int] | None = None
    rerank: Mapping[str, Any] | None = None
    hits: Sequence[Mapping[str, Any]] = ()
    highlights: Sequence[Mapping[str, Sequence[str]]] = ()

    def write(self, top: dict[str, msgspec.Raw]) -> None:
        """Add `took` and `ext.rerank` to the members of a response."""
        if self.took is not None and "took" in top:
            top["took"] = msgspec.Raw(b"%d" % self.took())
        if self.rerank is not None:
            ext = raw_json.members(top["ext"]) if "ext" in top else {}
            ext["rerank"] = encoded(self.rerank)
            top["ext"] = msgspec.Raw(raw_json.joined(ext))

    def of(self, number: int) -> HitAdditions | None:
        """Return what is added to a hit of the page, None if nothing is; `number` counts from 0."""
        explanation = self.hits[number] if number < len(self.hits) else {}
        highlight = self.highlights[number] if number < len(self.highlights) else {}
        return HitAdditions(explanation, highlight) if explanation or highlight else None

    def shown_by(self, filters: Filters | None) -> Filters | None:
        """Return a caller's `filter_path` so that it keeps these additions, too."""
        if filters is None or not filters.keep or self.rerank is None:
            return filters
        kept = ("_rerank", "highlight") if self.highlights else ("_rerank",)
        return replace(filters, keep=(*filters.keep, ("ext", "rerank"), *(("hits", "hits", name) for name in kept)))


@dataclass(frozen=True, slots=True)
class HitAdditions:
    """The additions to one hit: its `_rerank`, and fields of its `highlight`."""

    explanation: Mapping[str, Any]
    highlight: Mapping[str, Sequence[str]]

    def write(self, hit: dict[str, msgspec.Raw]) -> None:
        """Add them to the members of a hit."""
        if self.explanation:
            hit["_rerank"] = encoded(self.explanation)
        if self.highlight:
            fields = raw_json.members(hit.pop("highlight", b"{}"))
            fields |= {name: encoded(texts) for name, texts in self.highlight.items()}
            kept = {name: value for name, value in fields.items() if self.highlight.get(name, True)}
            if kept:
                hit["highlight"] = msgspec.Raw(raw_json.joined(kept))


NO_ADDITIONS = Additions()


def encoded(value: object) -> msgspec.Raw:
    """Return a value as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))
