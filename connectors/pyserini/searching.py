"""Around every call of a searcher: what Java raises becomes an error of ours, and the JVM forgets a finished thread.

Knows no searcher, and loads nothing of Java's: a searcher may well be of Python alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.pyserini.jvm import java_failure, leave_jvm_with_thread
from sidecar.core.errors import EngineError, InputError


@contextmanager
def searching(asked: str) -> Iterator[None]:
    """Call Java in here. Raises InputError for a query of too many words, EngineError for all else that Java raises."""
    leave_jvm_with_thread()
    try:
        yield
    except Exception as error:
        if not _is_java(error):
            raise
        failure = java_failure(error)
        if "TooManyClauses" in failure:
            raise InputError(
                f"Lucene can't search for {asked}: it has more than 1024 different words.",
                remedy="Ask a shorter query.",
            ) from error
        raise EngineError(f"Lucene failed on {asked}: {failure}") from error


def _is_java(error: Exception) -> bool:
    jnius = sys.modules.get("jnius")
    return jnius is not None and isinstance(error, jnius.JavaException)
