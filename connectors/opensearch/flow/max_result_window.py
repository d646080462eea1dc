"""Finds the largest window that an index allows (`max_result_window`) in OpenSearch's rejection. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

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


def limit_in(answer: bytes, requested: int) -> int | None:
    """Find the smallest limit in OpenSearch's answer to a search of `requested` hits, None if it names none.

    Only an exception of OpenSearch's own type counts, as the cause of a shard's failure and in its exact words: the
    words that a script throws, or a query quotes, have another type and another place.
    """
    try:
        found = msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return min(_limits(found, requested), default=None)


def _limits(answer: _Answer, requested: int) -> Iterator[int]:
    causes = [failure.reason for failure in answer.shards.failures]
    if isinstance(answer.error, _Error):
        causes += answer.error.root_cause
    for cause in causes:
        found = _TOO_LARGE.fullmatch(cause.reason or "") if cause.type == _TYPE else None
        if found and int(found[2]) == requested and 0 < int(found[1]) < requested:
            yield int(found[1])
