"""Lone surrogates in JSON text: escapes of half a surrogate pair, which JSON can write and UTF-8 cannot hold."""

from __future__ import annotations

import re
from collections.abc import Callable

# Every escape is matched whole, so that the second half of `\\` never begins one; a whole pair before a half of one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def replace_lone_surrogates(text: bytes, write: Callable[[bytes], bytes]) -> bytes:
    r"""Replace the escape of each lone surrogate; `write` is given it without its backslash (`ud83d`)."""
    return _ESCAPE.sub(lambda found: write(found[1]) if found[1] else found[0], text)
