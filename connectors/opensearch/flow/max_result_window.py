"""The largest window an index allows (`max_result_window`): read off OpenSearch's refusal, remembered for a while."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import msgspec

from connectors.opensearch.flow.remembered import Remembered

# A limit is rarely raised; where it was, one search in five minutes is all that it costs to find out.
SECONDS = 300.0

_TYPE = "illegal_argument_exception"
_TOO_LARGE = re.compile(
    r"Result window is too large, from \+ size must be less than or equal to: \[(\d{1,10})\] but was \[(\d{1,10})\]\. "
    r"See the scroll api for a more efficient way to request large data sets\. "
    r"This limit can be set by changing the \[index\.max_result_window\] index level setting\."
)


class _Cause(msgspec.Struct):
    type: str = ""
    reason: str | None = None


class _Failure(msgspec.Struct):
    reason: _Cause = msgspec.field(default_factory=_Cause)


class _Shards(msgspec.Struct):
    failures: list[_Failure] = []


class _Error(msgspec.Struct):
    root_cause: list[_Cause] = []


class _Answer(msgspec.Struct):
    error: _Error | str = ""
    shards: _Shards = msgspec.field(default_factory=_Shards, name="_shards")


def limit_in(answer: bytes, asked: int) -> int | None:
    """Read the smallest limit off OpenSearch's answer to a search of `asked` hits, None if it names none.

    Believed are only exceptions of OpenSearch's own type, as the cause of a shard's failure and in its exact words:
    what a script throws, or a query quotes, is of another type, and stands elsewhere.
    """
    try:
        found = msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return min(_limits(found, asked), default=None)


def _limits(answer: _Answer, asked: int) -> Iterator[int]:
    causes = [failure.reason for failure in answer.shards.failures]
    if isinstance(answer.error, _Error):
        causes += answer.error.root_cause
    for cause in causes:
        found = _TOO_LARGE.fullmatch(cause.reason or "") if cause.type == _TYPE else None
        if found and int(found[2]) == asked and 0 < int(found[1]) < asked:
            yield int(found[1])


class WindowLimits:
    """Limits that were met lately, by a key for the index and who searched it; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._met: Remembered[int] = Remembered(SECONDS, clock=clock)

    def window(self, key: object, wanted: int) -> int:
        """The window to ask for: as large as wanted, if that was not refused lately."""
        limit = self._met.get(key)
        return wanted if limit is None else min(limit, wanted)

    def remember(self, key: object, limit: int | None) -> None:
        """Keep a limit that was met."""
        if limit is not None:
            self._met.keep(key, limit)
