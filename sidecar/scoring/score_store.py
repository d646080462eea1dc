"""Keep scores on disk from run to run, so that another fusion or another window needs no scoring.

A stored score comes from the batch in which it was first computed; another batch would change its last digits.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.core.candidates import Chunk, Passage, Score
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.scoring import Scorer
from sidecar.scoring.cache_keys import pair_keys
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.score_mapping import Mapping as ScoreMapping

# "rsco", so that no other database is taken for a score store; the version is that of the table below.
APPLICATION = 0x7273636F
VERSION = 1
# Seconds to wait for another run that writes.
LOCK_TIMEOUT = 30.0
_TABLE = """
CREATE TABLE score (
    pair BLOB PRIMARY KEY, value REAL NOT NULL, truncated INTEGER NOT NULL,
    chunk INTEGER, chunks INTEGER, start INTEGER, stop INTEGER
) WITHOUT ROWID
"""


class ScoreStore:
    """A file of scores by pair (`pair_keys`); several runs may read and write it at once, from any thread.

    Each write is on disk completely or not at all, however a process ends. A missing file is created. Raises
    ConfigurationError for a file that is something else or has another version, InputError for one that is damaged or
    can't be written; neither is ever removed. `found` counts the scores that were found.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = 0
        self._lock = threading.Lock()
        with self._as_our_errors():
            self._database = sqlite3.connect(
                path.absolute(),  # `:memory:` alone is no file to SQLite
                timeout=LOCK_TIMEOUT,
                isolation_level=None,  # transactions are begun and ended explicitly
                check_same_thread=False,
            )
            self._open()

    def look_up(self, keys: Sequence[bytes]) -> list[Score | None]:
        """Return the score stored under each key; None if there is none. Raises InputError."""
        with self._as_our_errors(), self._lock:
            rows = [self._database.execute("SELECT * FROM score WHERE pair = ?", (key,)).fetchone() for key in keys]
            self.found += len(rows) - rows.count(None)
        return [None if row is None else _score(row[1:]) for row in rows]

    def keep(self, scores: Mapping[bytes, Score]) -> None:
        """Store scores: all of them or, if interrupted, none. Raises InputError."""
        rows = [(key, *_row(score)) for key, score in scores.items()]
        with self._as_our_errors(), self._lock, self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO score VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _open(self) -> None:
        with self._transaction():
            [application] = self._database.execute("PRAGMA application_id").fetchone()
            [version] = self._database.execute("PRAGMA user_version").fetchone()
            [tables] = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not (application or version or tables):
                self._database.execute(_TABLE)
                self._database.execute(f"PRAGMA application_id = {APPLICATION}")
                self._database.execute(f"PRAGMA user_version = {VERSION}")
            elif application != APPLICATION:
                raise ConfigurationError(f"{self.path} does not hold scores.", remedy="Name another file.")
            elif version != VERSION:
                raise ConfigurationError(
                    f"{self.path} holds scores in the format {version}, not {VERSION}.",
                    remedy="Remove it, or name another file.",
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _as_our_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(f"can't keep scores in {self.path}: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.path} is not a score file, or is damaged: {error}.", remedy="Remove it, or name another file."
            ) from error


@dataclass(frozen=True, slots=True)
class Remembered:
    """A tokenised query without the passages whose scores are stored; `known` and `keys` list all, None if unknown."""

    keys: Sequence[bytes]
    known: Sequence[Score | None]
    unknown: Any

    @property
    def lengths(self) -> Sequence[int]:
        """Return the tokens of each passage; 0 if its score is stored."""
        rest = iter(self.unknown.lengths)
        return [next(rest) if score is None else 0 for score in self.known]

    def part(self, start: int, stop: int) -> Remembered:
        """Return some of the passages."""
        before, within = self.known[:start].count(None), self.known[start:stop].count(None)
        unknown = self.unknown.part(before, before + within)
        return Remembered(self.keys[start:stop], self.known[start:stop], unknown)


class RememberingScorer:
    """Scores only the pairs that the store lacks, and stores their scores under the model's `fingerprint`."""

    def __init__(self, scorer: Scorer, store: ScoreStore, fingerprint: str) -> None:
        self.scorer = scorer
        self.store = store
        self.fingerprint = fingerprint

    @property
    def name(self) -> str:
        """Return the user's name of the model."""
        return self.scorer.name

    @property
    def mapping(self) -> ScoreMapping:
        """Return the scorer's mapping."""
        return self.scorer.mapping

    @property
    def manifest(self) -> Manifest:
        """Return the scorer's manifest."""
        return self.scorer.manifest

    @property
    def engine_name(self) -> str:
        """Return the scorer's engine name."""
        return self.scorer.engine_name

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Return one score for each passage, in the order given. Raises what the scorer and the store raise."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> Remembered:
        """Look up the pairs, and tokenise those without a stored score."""
        keys = pair_keys(self.fingerprint, query, passages)
        known = self.store.look_up(keys)
        wanted = [passage for passage, score in zip(passages, known, strict=True) if score is None]
        return Remembered(keys, known, self.scorer.read(query, wanted))

    def score_all(self, tokenized: Sequence[Remembered]) -> list[list[Score]]:
        """Return the scores of several queries' passages; only pairs without a stored score go to the device."""
        open_ones = [one for one in tokenized if None in one.known]
        found = self.scorer.score_all([one.unknown for one in open_ones]) if open_ones else []
        fresh: dict[bytes, Score] = {}
        for one, scores in zip(open_ones, found, strict=True):
            lacking = (key for key, score in zip(one.keys, one.known, strict=True) if score is None)
            fresh.update(zip(lacking, scores, strict=True))
        if fresh:
            self.store.keep(fresh)
        return [[score or fresh[key] for key, score in zip(one.keys, one.known, strict=True)] for one in tokenized]


def _row(score: Score) -> tuple[float | int | None, ...]:
    chunk = score.chunk
    place = (None,) * 4 if chunk is None else (chunk.index, chunk.count, chunk.start, chunk.end)
    return (score.value, int(score.truncated), *place)


def _score(row: Sequence[Any]) -> Score:
    return Score(row[0], bool(row[1]), None if row[2] is None else Chunk(*row[2:]))
