"""Writes down what a shadow reranking would have changed: one JSON line for each search, appended to a file."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sidecar.core.candidates import Ranking

if TYPE_CHECKING:
    from sidecar.serving.scorer.service import Outcome

# The depth to which the two orders are compared, and the number of the largest moves in a record.
DEPTH = 10
MOVES = 10
_log = logging.getLogger("sidecar.shadow")


class Move(msgspec.Struct, frozen=True):
    """A hit that would have changed its rank; ranks count from 1."""

    docid: str
    first_stage_rank: int
    rank: int
    score: float | None


class ShadowRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One search under a shadow rule.

    `qid` is the same for every page of a search and reveals nothing of it; `first_stage` and `reranked` are document
    ids at the top of both orders, `kept` the share of them that both have, `moves` the largest moves, `ms` wall times.
    """

    time: str
    qid: str
    index: str
    rule: str
    model: str
    status: str
    ms: dict[str, float]
    reason: str = ""
    words: str = ""
    first_stage: tuple[str, ...] = ()
    reranked: tuple[str, ...] = ()
    kept: float | None = None
    moves: tuple[Move, ...] = ()
    query: str | None = None


def shadow_record(outcome: Outcome, index: str, qid: str, seconds: float) -> ShadowRecord:
    """Describe the outcome of a shadow reranking, with its query's text."""
    stages = {**outcome.seconds, "total": seconds}
    now = time.time()
    record = ShadowRecord(
        time=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z",
        qid=qid,
        index=index,
        rule=outcome.rule,
        model=outcome.model,
        status=outcome.status.value,
        ms={name: round(value * 1000, 1) for name, value in stages.items()},
        reason="" if outcome.reason is None else outcome.reason.reason.value,
        words="" if outcome.reason is None else outcome.reason.for_log,
    )
    ranking = outcome.ranking
    if ranking is None:
        return record
    by_rank = sorted(ranking.hits, key=lambda hit: hit.candidate.rank)
    return msgspec.structs.replace(
        record,
        first_stage=tuple(hit.candidate.docid for hit in by_rank[:DEPTH]),
        reranked=tuple(hit.candidate.docid for hit in ranking.hits[:DEPTH]),
        kept=kept_at_top(ranking),
        moves=_moves(ranking),
        query=ranking.query,
    )


def kept_at_top(ranking: Ranking, depth: int = DEPTH) -> float:
    """Return the share of the first stage's top that reranking keeps there."""
    top = ranking.hits[:depth]
    return sum(hit.candidate.rank <= depth for hit in top) / len(top) if top else 1.0


def _moves(ranking: Ranking) -> tuple[Move, ...]:
    moved = [
        Move(hit.candidate.docid, hit.candidate.rank, hit.rank, hit.rerank_score)
        for hit in ranking.hits
        if hit.rank != hit.candidate.rank
    ]
    return tuple(sorted(moved, key=lambda one: (-abs(one.rank - one.first_stage_rank), one.rank))[:MOVES])


class ShadowFile:
    """A file of records. Each record is appended by one write, so that several processes may share the file.

    The file is opened anew for each record, so that it may be moved away at any time; its mode is 0600. Without
    `queries` no record holds a query's text.
    """

    def __init__(self, path: Path, *, queries: bool = False) -> None:
        self.path = path
        self.queries = queries

    async def write(self, record: ShadowRecord) -> int:
        """Append a record; return the number of lost records, 1 if it could not be written."""
        if not self.queries:
            record = msgspec.structs.replace(record, query=None)
        try:
            await asyncio.to_thread(self.append, msgspec.json.encode(record) + b"\n")
        except OSError as error:
            _log.warning("shadow_file: %s: %s", self.path, error.strerror)
            return 1
        return 0

    def append(self, line: bytes) -> None:
        """Append bytes. Raises OSError, also if only a part could be written."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, "no space left for a whole line")
        finally:
            os.close(file)
