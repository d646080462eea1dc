"""Where the sentences of a text are, by their marks. No I/O, in linear time.

Our own rules, which need no model: a sentence is what is scored and shown, so its positions must be exact in any text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# A piece without a mark is cut at white space, or after so many characters: a model would read no more of it anyway.
LONGEST = 600
# Marks that join the character before; a piece is never cut in front of them.
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")
_MOST_JOINED = 32
_CLOSING = "\"'”’»)\\]」』）】"  # noqa: RUF001  marks of other scripts
# A mark with what closes a quotation after it, an empty line, or the next item of a list. The conditions on what
# follows are checked outside of the pattern, so that every character is looked at once.
_WIDE, _MARKS = "。！？｡", ".!?…‽؟۔।॥"  # noqa: RUF001  marks of other scripts
_MARK = re.compile(
    rf"(?P<wide>[{_WIDE}]+[{_CLOSING}]*)|(?P<mark>[{_MARKS}]+[{_CLOSING}]*)|\n[^\S\n]*\n|\n[^\S\n]*(?=[-*•]\s)"
)
# Words before a full stop that ends no sentence, and initials.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Z]|Mrs?|Ms|Drs?|Prof|St|Jr|Sr|Gen|Sen|Rep|Gov|Capt|Lt|Col|No|vs|cf|ca|approx|Fig|Eq|Vol|pp?|"
    r"e\.g|i\.e|etc|al|[A-Z](?:\.[A-Z])+)\.$"
)


def sentences(text: str, most: int) -> list[tuple[int, int]]:
    """Return the first `most` sentences as positions in the text: the first character, and the one after the last.

    Positions count code points. White space around a sentence belongs to none.
    """
    found: list[tuple[int, int]] = []
    for start, end in _raw(text):
        for piece in _pieces(text, start, end):
            found.append(piece)
            if len(found) == most:
                return found
    return found


def _raw(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _MARK.finditer(text):
        if match["mark"] is None or _ends(text, match.start("mark"), match.end()):
            if match["wide"] is not None and _joins(text, match.end()):
                continue
            yield start, match.end()
            start = match.end()
    yield start, len(text)


def _ends(text: str, mark: int, end: int) -> bool:
    """True if a mark ends a sentence: white space follows, then no small letter, and it ends no abbreviation."""
    if end < len(text) and not text[end].isspace():
        return False
    # Far enough for every white space that people write; a longer one ends a sentence, too.
    following = text[end : end + 20].lstrip()
    if following[:1].islower():
        return False
    return not (text[mark] == "." and _ABBREVIATION.search(text[max(0, mark - 12) : mark + 1]))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield a sentence without the white space around it, in pieces of at most about `LONGEST` characters."""
    while start < end:
        if text[start].isspace():
            start += 1
            continue
        stop = min(end, start + LONGEST)
        if stop < end:
            space = max(text.rfind(" ", start + LONGEST // 2, stop), text.rfind("\n", start + LONGEST // 2, stop))
            stop = space if space > start else stop
            joined = stop
            while joined < min(end, stop + _MOST_JOINED) and _joins(text, joined):
                joined += 1
            stop = joined
        trimmed = start + len(text[start:stop].rstrip())
        yield start, trimmed
        start = stop


def _joins(text: str, at: int) -> bool:
    """True if the character belongs to the one before it."""
    if at >= len(text):
        return False
    return text[at] in _JOINERS or text[at - 1] == "\u200d" or unicodedata.combining(text[at]) != 0
