"""The tags and the encoder that a search's own `highlight` asks for, field by field. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from connectors.opensearch import raw_json
from sidecar.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags before and after a marked part; with `html` the text itself is escaped."""

    before: str = "<em>"
    after: str = "</em>"
    html: bool = False


# OpenSearch's `tags_schema: styled`; of its ten tags the first marks what matters most.
_STYLED = ('<em class="hlt1">', "</em>")


class _Options(msgspec.Struct):
    """Options that a `highlight` has for all fields, and again for each; None for those not given."""

    pre_tags: list[str] | None = None
    post_tags: list[str] | None = None


class _Highlight(_Options):
    tags_schema: Literal["styled", "default"] | None = None
    encoder: Literal["html", "default"] | None = None
    fields: dict[str, _Options] | list[dict[str, _Options]] = []


@dataclass(frozen=True, slots=True)
class HighlightTags:
    """The tags for all fields, and those for fields by their names, which may be patterns with `*`."""

    tags: Tags = field(default_factory=Tags)
    by_field: Sequence[tuple[str, Tags]] = ()

    def of(self, name: str) -> Tags:
        """Return the tags for a field: those of its own name, of the first pattern that fits, or of all."""
        own = dict(reversed(self.by_field))
        fitting = (tags for pattern, tags in self.by_field if fnmatchcase(name, pattern))
        return own.get(name) or next(fitting, self.tags)


def highlight_tags(body: Mapping[str, msgspec.Raw]) -> HighlightTags:
    """Read the tags of a search body. Raises InputError if its `highlight` is malformed."""
    if "highlight" not in body:
        return HighlightTags()
    try:
        found = msgspec.json.decode(raw_json.mended(bytes(body["highlight"])), type=_Highlight)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"highlight: {error}", remedy="Spans in the highlight take its tags and encoder.") from None
    html = found.encoder == "html"
    common = _chosen(found, Tags(*_STYLED, html) if found.tags_schema == "styled" else Tags(html=html))
    groups = [found.fields] if isinstance(found.fields, dict) else found.fields
    return HighlightTags(
        common, [(name, _chosen(options, common)) for group in groups for name, options in group.items()]
    )


def _chosen(options: _Options, otherwise: Tags) -> Tags:
    """Return the first of the given tags; of several, OpenSearch takes the first for what matters most."""
    before = options.pre_tags[0] if options.pre_tags else otherwise.before
    after = options.post_tags[0] if options.post_tags else otherwise.after
    return Tags(before, after, otherwise.html)
