"""The candidates of a first stage in a file: one list a line, as `read_candidates` reads it, and read here by query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Candidate
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_lists import CandidateList, passage_in
from sidecar.experiments.journal import Journal


class _Query(msgspec.Struct):
    text: str
    qid: str


class _Hit(msgspec.Struct):
    docid: str
    score: float
    doc: msgspec.Raw


class _List(msgspec.Struct):
    query: _Query
    candidates: list[_Hit]


_LISTS = msgspec.json.Decoder(_List)


def list_line(found: CandidateList, hits: int) -> bytes:
    """Return the first hits of a list as a line of JSON, without its line end."""
    kept = zip(found.candidates[:hits], found.docs, strict=False)
    candidates = [_Hit(candidate.docid, candidate.score, msgspec.Raw(doc)) for candidate, doc in kept]
    return msgspec.json.encode(_List(_Query(found.query, found.qid), candidates))


def publish_lists(journal: Journal, path: Path) -> None:
    """Write the lists of a finished journal to a file that appears whole, and remove the journal."""
    with atomic_write(path) as stream:
        stream.writelines(line.decode() + "\n" for line in journal.lines())
    journal.remove()


class StageFile:
    """A file that `publish_lists` wrote; in memory are the ids of its queries and their places.

    Raises `InputError` if it can't be read, or a line is damaged.
    """

    def __init__(self, path: Path, fields: PassageFields) -> None:
        self.path = path
        self._fields = fields
        self._places: dict[str, int] = {}
        place = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise InputError(f"can't read {path}: {error.strerror}.") from None
        for line in self._file:
            self._places[self._parse(line).query.qid] = place
            place += len(line)

    def __iter__(self) -> Iterator[str]:
        """Yield the ids of its queries, in the order of the file."""
        return iter(self._places)

    def __contains__(self, qid: str) -> bool:
        return qid in self._places

    def __len__(self) -> int:
        return len(self._places)

    def read(self, qid: str) -> CandidateList:
        """Return the candidates of a query; none if the file lacks it."""
        if qid not in self._places:
            return CandidateList(qid, "", [], [])
        self._file.seek(self._places[qid])
        found = self._parse(self._file.readline())
        docs = [bytes(hit.doc) for hit in found.candidates]
        candidates = [
            Candidate(hit.docid, rank, hit.score, passage_in(doc, self._fields))
            for rank, (hit, doc) in enumerate(zip(found.candidates, docs, strict=True), start=1)
        ]
        return CandidateList(qid, found.query.text, candidates, docs)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _parse(self, line: bytes) -> _List:
        try:
            return _LISTS.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.path} is damaged: {error}.", remedy="Remove it: the first stage is run again."
            ) from None
