"""A temporary SQLite database on disk, for data that do not fit in memory.

It has no name, and disappears with the process, however that ends.
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
    """Make a database with these tables, in one transaction that is never committed. Raises `InputError`."""
    # SQLite makes a temporary database on disk if the name is empty.
    database = sqlite3.connect("", isolation_level=None)
    with on_disk("the tables"):
        database.executescript(f"{_PRAGMAS}{tables}BEGIN;")
    return database


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """Raise `InputError` if the disk has no room for it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{what} can't be kept on disk: {error}.",
            remedy="They go to a temporary file: point the variable SQLITE_TMPDIR at a folder with more space.",
        ) from error
