"""Identify the content of a Lucene index by its files, without Java."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sidecar.core.errors import IndexNotFound

_PREFIX = "segments_"


def index_commit(directory: Path) -> str:
    """Return the SHA-256 of an index's newest commit, which lists its segments by ids of their own.

    It is the same for a copy of the index, and another one after every change. Raises IndexNotFound if the directory
    has no commit.
    """
    commits = [path for path in directory.glob(f"{_PREFIX}*") if path.is_file()]
    if not commits:
        raise IndexNotFound(f"{directory} is no Lucene index.", remedy="Build one with `sidecar index`.")
    # Lucene numbers its commits in base 36.
    newest = max(commits, key=lambda path: int(path.name.removeprefix(_PREFIX), 36))
    return hashlib.sha256(newest.read_bytes()).hexdigest()
