"""A search body as strict JSON in UTF-8: what OpenSearch's own parser takes beyond that is undone. Pure.

Its parser (Jackson) tells UTF-8, UTF-16 and UTF-32 by the first bytes, whatever `Content-Type` says, skips a byte order
mark, and takes `//` and `/* */` comments; no `#`, no trailing comma, no NaN (2.19.1, measured).
"""

from __future__ import annotations

import json
import re

# A string, to its end if it has one, or the beginning of a comment. It can't fail late, so the scan is linear.
_STRING_OR_COMMENT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|/[/*]', re.DOTALL)
_LINE_END = re.compile(rb"[\r\n]|\Z")


def json_text(data: bytes) -> bytes:
    """Return the same JSON in UTF-8, without byte order mark and comments; what needs nothing of it, as it is."""
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
    """Where a comment ends whose content begins at `at`; below 0 where it does not."""
    if opening == b"/*":
        closing = text.find(b"*/", at)
        return closing + 2 if closing >= 0 else -1
    line_end = _LINE_END.search(text, at)
    return line_end.start() if line_end else len(text)
