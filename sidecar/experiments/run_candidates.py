"""Candidate lists for a run whose texts are in a corpus: the run, the queries and the corpus are each read once.

The parts needed are kept in a temporary SQLite database on disk, so memory does not grow with any of the three. The
database has no name, and disappears with the process, however that ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sidecar.core.candidates import Candidate
from sidecar.core.corpus import read_lines
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.temporary_database import on_disk, temporary_database
from sidecar.experiments.candidate_lists import CandidateList, passage_in
from sidecar.experiments.run_reading import read_entries
from sidecar.experiments.shards import WHOLE, Shard
from sidecar.experiments.topics import read_topics

SHOWN = 5
ABSENT = b"null"

_TABLES = """
CREATE TABLE query (n INTEGER PRIMARY KEY, qid TEXT UNIQUE NOT NULL, text TEXT);
CREATE TABLE document (n INTEGER PRIMARY KEY, docid TEXT UNIQUE NOT NULL, wanted INTEGER NOT NULL, line BLOB);
CREATE TABLE hit (query INTEGER, document INTEGER, rank INTEGER, score REAL, PRIMARY KEY (query, document))
    WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Sources:
    """A run with the files that its ids refer to."""

    run: Path
    queries: Path
    corpus: Path


class RunCandidates:
    """The candidate lists of a run, in its order of queries.

    For each query of the `shard` the documents of the first `depth` hits are looked up (None: of all). `documents`
    counts them, `missing` those that the corpus lacks; they are an error unless `allow_missing` is set, and then have
    no text. `progress` is called with the number of documents of the corpus read so far.

    Raises `InputError` for a malformed line, with file and line; for a query whose scores rise or that lists a document
    twice; for query ids without a text and docids without a document, naming the first few; and if the disk is full.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        depth: int | None = None,
        shard: Shard = WHOLE,
        allow_missing: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._shard = shard
        self._database = temporary_database(_TABLES)
        with on_disk("the texts of the run"):
            self._read_run(sources.run, depth)
            self._read_queries(sources)
            self.documents = self._count("SELECT count(*) FROM document WHERE wanted")
            self._read_corpus(sources.corpus, progress)
        self.missing = self._count("SELECT count(*) FROM document WHERE wanted AND line IS NULL")
        if self.missing and not allow_missing:
            self._refuse_missing(sources.corpus)

    def __len__(self) -> int:
        return self._count("SELECT count(*) FROM query")

    def lists(self, fields: PassageFields, *, leave_out: Iterable[str] = ()) -> Iterator[CandidateList]:
        """Yield each query of the shard with its candidates, except those to leave out."""
        done = frozenset(leave_out)
        queries = self._database.execute("SELECT n, qid, text FROM query ORDER BY n")
        for number, qid, text in self._shard.of(queries):
            if qid in done:
                continue
            hits = self._database.execute(
                "SELECT docid, score, line FROM hit JOIN document ON document = n WHERE query = ? ORDER BY rank",
                (number,),
            )
            found = [(docid, score, line or ABSENT) for docid, score, line in hits]
            candidates = [
                Candidate(docid, rank, score, passage_in(line, fields))
                for rank, (docid, score, line) in enumerate(found, start=1)
            ]
            yield CandidateList(qid, text, candidates, [line for _, _, line in found])

    def _read_run(self, run: Path, depth: int | None) -> None:
        places: dict[str, tuple[int, int, float]] = {}  # query id → its number, and rank and score of its last line
        for where, qid, docid, score in read_entries(run):
            number, rank, above = places.get(qid) or (self._new_query(qid), 0, score)
            if score > above:
                raise InputError(
                    f"{where}: the score {score:g} of query {qid!r} rises above {above:g}, that of the line before.",
                    remedy="A run lists each query's documents best first: sort it by query and falling score.",
                )
            places[qid] = number, rank + 1, score
            wanted = self._shard.has(number - 1) and (depth is None or rank < depth)
            document = self._document(docid, wanted=wanted)
            if not self._add("INSERT OR IGNORE INTO hit VALUES (?, ?, ?, ?)", number, document, rank + 1, score):
                raise InputError(f"{where}: document {docid!r} is listed twice for query {qid!r}.")
        if not places:
            raise InputError(f"{run} holds no result.")

    def _new_query(self, qid: str) -> int:
        return int(self._database.execute("INSERT INTO query (qid) VALUES (?)", (qid,)).lastrowid or 0)

    def _document(self, docid: str, *, wanted: bool) -> int:
        row = self._database.execute(
            "INSERT INTO document (docid, wanted) VALUES (?, ?) "
            "ON CONFLICT DO UPDATE SET wanted = max(wanted, excluded.wanted) RETURNING n",
            (docid, wanted),
        ).fetchone()
        return int(row[0])

    def _read_queries(self, sources: Sources) -> None:
        for qid, text in read_topics(sources.queries):
            self._add("UPDATE query SET text = ? WHERE qid = ?", text, qid)
        lacking = self._count("SELECT count(*) FROM query WHERE text IS NULL")
        if lacking:
            first = self._first("SELECT qid FROM query WHERE text IS NULL ORDER BY n")
            raise InputError(
                f"{sources.queries} lacks the texts of {lacking} of the {len(self)} queries in {sources.run}: {first}.",
                remedy="Give the queries that the run was made with.",
            )

    def _read_corpus(self, corpus: Path, progress: Callable[[int], None]) -> None:
        read = 0
        for read, document in enumerate(read_lines(corpus), start=1):
            wanted = self._database.execute(
                "SELECT n, line IS NOT NULL FROM document WHERE docid = ? AND wanted", (document.docid,)
            ).fetchone()
            if wanted is not None:
                if wanted[1]:
                    raise InputError(
                        f"{document.source}: document {document.docid!r} was there before.",
                        remedy="Give every document an id of its own.",
                    )
                document.check()
                self._add("UPDATE document SET line = ? WHERE n = ?", document.line, wanted[0])
            if read % 1000 == 0:
                progress(read)
        progress(read)

    def _refuse_missing(self, corpus: Path) -> None:
        first = self._first("SELECT docid FROM document WHERE wanted AND line IS NULL ORDER BY n")
        raise InputError(
            f"{corpus} lacks {self.missing} of {self.documents} documents: {first}.",
            remedy="Give the corpus that the run was made from. With --allow-missing what it lacks is not reranked.",
        )

    def _add(self, statement: str, *values: object) -> int:
        return self._database.execute(statement, values).rowcount

    def _count(self, statement: str, *values: object) -> int:
        return int(self._database.execute(statement, values).fetchone()[0])

    def _first(self, statement: str) -> str:
        names = [repr(row[0]) for row in islice(self._database.execute(statement), SHOWN + 1)]
        return ", ".join([*names[:SHOWN], *(["…"] if len(names) > SHOWN else [])])
