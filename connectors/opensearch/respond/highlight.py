"""Spans written as OpenSearch's semantic highlighter writes them: a field's whole text, its spans in tags. No I/O."""

from __future__ import annotations

import html
from collections.abc import Sequence

from connectors.opensearch.rewrite.highlight_tags import HighlightTags, Tags
from sidecar.core.candidates import Passage
from sidecar.core.documents import well_formed
from sidecar.core.spans import Span


def highlight_of(passage: Passage, spans: Sequence[Span], tags: HighlightTags) -> dict[str, list[str]]:
    """Return a hit's `highlight` of the fields that its text came from; a field without a span has an empty list.

    A span that goes over from one field to the next is marked in both.
    """
    ordered = sorted((span.start, span.end) for span in spans)
    found: dict[str, list[str]] = {}
    for part in passage.parts:
        own = [
            (max(start, part.start) - part.start, min(end, part.end) - part.start)
            for start, end in ordered
            if start < part.end and end > part.start
        ]
        text = passage.text[part.start : part.end]
        found[part.field] = [_marked(text, own, tags.of(part.field))] if own else []
    return found


def _marked(text: str, spans: Sequence[tuple[int, int]], tags: Tags) -> str:
    """Write a text with tags around its spans, which follow each other."""
    pieces, at = [], 0
    for start, end in spans:
        pieces += [_encoded(text[at:start], tags), tags.before, _encoded(text[start:end], tags), tags.after]
        at = end
    return "".join([*pieces, _encoded(text[at:], tags)])


def _encoded(text: str, tags: Tags) -> str:
    """Escape a text as Lucene's encoder for HTML does, if that is asked for; JSON holds no half surrogate pair."""
    text = well_formed(text)
    return html.escape(text).replace("/", "&#x2F;") if tags.html else text
