"""A temporary SQLite database on disk, for what is too large for memory.

It has no name, and is gone when the process is, however it ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.core.errors import InputError

_PRAGMAS = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
"""


def temporary_database(tables: str) -> sqlite3.Connection:
    """Make a database with these tables, in one transaction that is never ended. Raises `InputError`."""
    # An empty name is SQLite's for a temporary database on disk.
    database = sqlite3.connect("", isolation_level=None)
    with on_disk("the tables"):
        database.executescript(f"{_PRAGMAS}{tables}BEGIN;")
    return database


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """Raise `InputError` where the disk has no room for it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{what} can't be kept on disk: {error}.",
            remedy="They go to a temporary file: point the variable SQLITE_TMPDIR at a folder with more space.",
        ) from error
