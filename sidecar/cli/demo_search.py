"""The first stage of the demo: Lucene where pyserini is installed, and elsewhere the full-text search of SQLite.

So the demo runs in an environment that has only what the package itself requires. SQLite is for the demo alone: its
BM25 has fixed parameters (k1 = 1.2, b = 0.75). As in Lucene's English analysis, words are stemmed, stop words are not
searched for, and title and text are one field.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.corpus import Document
from sidecar.core.errors import ConfigurationError

if TYPE_CHECKING:
    from connectors.pyserini.index import LuceneIndex

# Lucene's English stop words.
# fmt: off
_STOP_WORDS = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not",
    "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will",
    "with",
})
# fmt: on


class DemoSearch(Protocol):
    """An index of the demo's documents; `name` is that of its engine."""

    name: str

    def candidates(self, question: str, window: int) -> Sequence[Candidate]:
        """Return the first `window` hits of BM25, best first; none if no word of the question occurs."""


def has_lucene() -> bool:
    """Return whether pyserini is installed; nothing is imported."""
    return find_spec("pyserini") is not None


@contextmanager
def demo_search(
    documents: Iterable[Document], folder: Path, *, lucene: bool, k1: float, b: float
) -> Iterator[DemoSearch]:
    """Index the documents in the folder, which must exist, with Lucene or SQLite; k1 and b are Lucene's.

    Raises ConfigurationError if SQLite has no FTS5, and what `build_index` raises.
    """
    if lucene:
        from connectors.pyserini.build import build_index
        from connectors.pyserini.index import LuceneIndex

        build_index(documents, folder / "index")
        with LuceneIndex(folder / "index", k1=k1, b=b) as index:
            yield _Lucene(index)
    else:
        with closing(sqlite3.connect(folder / "index.sqlite", isolation_level=None)) as database:
            yield _SQLite(documents, database)


class _Lucene:
    name = "Lucene"

    def __init__(self, index: LuceneIndex) -> None:
        from connectors.pyserini.connector import PyseriniConnector

        self._connector = PyseriniConnector(index)

    def candidates(self, question: str, window: int) -> Sequence[Candidate]:
        from connectors.pyserini.connector import LuceneRequest

        return self._connector.fetch(LuceneRequest(question, window, window)).candidates


class _SQLite:
    name = "SQLite"

    def __init__(self, documents: Iterable[Document], database: sqlite3.Connection) -> None:
        self._database = database
        try:
            database.execute(
                "CREATE VIRTUAL TABLE documents USING fts5"
                "(title UNINDEXED, text UNINDEXED, contents, tokenize = 'porter unicode61')"
            )
        except sqlite3.OperationalError as error:
            raise ConfigurationError(
                f"this Python's SQLite has no full-text search ({error}), and pyserini is not installed.",
                remedy="Install it with: pip install 'rerank-sidecar[pyserini]'",
            ) from None
        rows = ((one.title, one.text, f"{one.title}\n{one.text}") for one in documents)
        database.execute("BEGIN")
        database.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")

    def candidates(self, question: str, window: int) -> Sequence[Candidate]:
        words = [word for word in re.findall(r"\w+", question.lower()) if word not in _STOP_WORDS]
        if not words:
            return []
        # bm25() is negative, and the smaller the better.
        rows = self._database.execute(
            "SELECT title, text, -bm25(documents) FROM documents WHERE documents MATCH ? "
            "ORDER BY bm25(documents), rowid LIMIT ?",
            (" OR ".join(f'"{word}"' for word in words), window),
        )
        return [
            # In this corpus a document's title is its id.
            Candidate(title, rank, score, Passage(title, text))
            for rank, (title, text, score) in enumerate(rows, start=1)
        ]
