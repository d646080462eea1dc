"""A search's body and URL parameters as OpenSearch reads them. No I/O.

The body is parsed once for all that read it: the caller's options, the pipeline, the identity, the plan.

OpenSearch's own parser (Jackson) recognises UTF-8, UTF-16 and UTF-32 by the first bytes, whatever `Content-Type` says,
skips a byte order mark, and accepts `//` and `/* */` comments; no `#`, no trailing comma, no NaN (2.19.1, measured).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from connectors.opensearch import raw_json

# Parsed members take 20 times the memory of short ones' text, and a hostile body may hold 100,000 of them. A search of
# more members than people write is parsed anew each time, so that nothing large is kept while OpenSearch answers.
MOST_KEPT = 20

# A string, to its end if it has one, or the beginning of a comment. It can't fail late, so the scan is linear.
_STRING_OR_COMMENT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|/[/*]', re.DOTALL)
_LINE_END = re.compile(rb"[\r\n]|\Z")


class SearchBody:
    """The body of one search; `raw` are its bytes as they came."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._kept: dict[str, msgspec.Raw] | None = None

    @cached_property
    def text(self) -> bytes:
        """The body as strict JSON in UTF-8."""
        return json_text(self.raw)

    @property
    def members(self) -> Mapping[str, msgspec.Raw]:
        """The body's values by key, lone surrogates escaped; an empty body has none. Raises `raw_json.Malformed`."""
        if self._kept is not None:
            return self._kept
        found = raw_json.members(raw_json.escape_surrogates(self.text)) if self.text.strip() else {}
        if len(found) <= MOST_KEPT:
            self._kept = found
        return found

    def values(self) -> dict[str, Any]:
        """Parse the body into Python values, which nobody keeps. Raises ValueError or RecursionError."""
        if not self.text.strip():
            return {}
        found: dict[str, Any] = json.loads(self.text, object_pairs_hook=_unique)
        return found

    @property
    def rerank(self) -> msgspec.Raw | None:
        """The value of `ext.rerank`, None where there is none. Raises `raw_json.Malformed`."""
        return raw_json.members(self.members.get("ext", b"{}")).get("rerank")

    @property
    def has_rerank(self) -> bool:
        """Whether there is an `ext.rerank`, which a node without neural-search refuses."""
        try:
            return "rerank" in raw_json.members(self.members.get("ext", b"{}"))
        except raw_json.Malformed:
            return False

    @property
    def members_to_forward(self) -> dict[str, msgspec.Raw]:
        """The members without `ext.rerank`. Raises `raw_json.Malformed`."""
        found = dict(self.members)
        if not self.has_rerank:
            return found
        ext = raw_json.members(found.pop("ext"))
        del ext["rerank"]
        return found | ({"ext": msgspec.Raw(raw_json.joined(ext))} if ext else {})

    @cached_property
    def forwarded(self) -> bytes:
        """The body without `ext.rerank`; its own bytes where it has none."""
        if not self.has_rerank:
            return self.raw
        return raw_json.restore_surrogates(raw_json.joined(self.members_to_forward))


def json_text(data: bytes) -> bytes:
    """Return the same JSON in UTF-8, without byte order mark and comments; the same bytes if nothing changes."""
    text = _utf8(data)
    return _without_comments(text) if b"//" in text or b"/*" in text else text


def _utf8(data: bytes) -> bytes:
    encoding = json.detect_encoding(data)
    if encoding == "utf-8":
        return data
    try:
        return data.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data


def _without_comments(text: bytes) -> bytes:
    parts, kept, at = [], 0, 0
    while found := _STRING_OR_COMMENT.search(text, at):
        at = found.end()
        if text[found.start()] == ord('"'):
            continue
        end = _end_of_comment(text, found.group(), at)
        if end < 0:
            break
        parts += [text[kept : found.start()], b" "]
        kept = at = end
    return b"".join([*parts, text[kept:]])


def _end_of_comment(text: bytes, opening: bytes, at: int) -> int:
    """Find the end of a comment whose content begins at `at`; -1 if it has none."""
    if opening == b"/*":
        closing = text.find(b"*/", at)
        return closing + 2 if closing >= 0 else -1
    line_end = _LINE_END.search(text, at)
    return line_end.start() if line_end else len(text)


def url_params(query: str) -> dict[str, str]:
    """Read a query string, its bytes as Latin-1: `;` separates as `&` does, and the last value of a name counts."""
    return dict(parse_qsl(query.replace(";", "&"), keep_blank_values=True))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """OpenSearch refuses a key that occurs twice; a dict would lose the first silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found
