"""A clock that only systems move, memory that says what it is told, and queries of a size."""

from __future__ import annotations

from sidecar.bench.work import Query, write_query
from sidecar.core.candidates import Passage
from sidecar.scoring.checkpoints.manifest import Manifest


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeMemory:
    def __init__(self, in_use: int | None = 0, peak: int | None = 0) -> None:
        self._in_use, self._peak, self.forgotten = in_use, peak, 0

    def now(self) -> int | None:
        return self._in_use

    def peak(self) -> int | None:
        return self._peak

    def forget(self) -> None:
        self.forgotten += 1


def make_query(qid: str, count: int) -> Query:
    passages = [(f"{qid}-{index}", Passage("", f"text {index} " + "word " * (index % 7))) for index in range(count)]
    return write_query(Manifest(), qid, f"query {qid}", passages)
