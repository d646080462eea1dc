"""Wrap every call of a searcher: a Java error becomes one of ours, and the JVM detaches a finished thread.

Knows no searcher, and loads no Java: a searcher may be pure Python.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.pyserini.jvm import java_failure, leave_jvm_with_thread
from sidecar.core.errors import EngineError, InputError


@contextmanager
def searching(asked: str) -> Iterator[None]:
    """Call Java in this block. Raises InputError for a query of too many words, EngineError for other Java errors."""
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
                remedy="Use a shorter query.",
            ) from error
        raise EngineError(f"Lucene failed on {asked}: {failure}") from error


def _is_java(error: Exception) -> bool:
    jnius = sys.modules.get("jnius")
    return jnius is not None and isinstance(error, jnius.JavaException)
