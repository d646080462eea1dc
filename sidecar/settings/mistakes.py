"""Messages about settings with a wrong name or value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from pydantic import ValidationError


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about `name`: ", did you mean X?" for the closest known name, or a full stop."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else "."


def messages(error: ValidationError, known: Iterable[str]) -> Iterator[str]:
    """Yield a message for each setting that is wrong; `known` are the names of all settings."""
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"]) or "settings"
        unknown = nearest(name, known) if problem["type"] == "extra_forbidden" else ""
        yield f"{name}: {problem['msg'][:1].lower()}{problem['msg'][1:]}{unknown}"
