"""Writing and reading runs: TREC, MS MARCO, and castorini's candidate lists.

What is written keeps its order under every evaluator: scores fall strictly in single precision, in which trec_eval
compares them, so equal fused scores are parted by one unit in the last place.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

import msgspec

from sidecar.candidates import Ranked, Ranking
from sidecar.errors import InputError
from sidecar.fusion import tail_scores
from sidecar.lines import numbered_lines


class RunFormat(StrEnum):
    """What a run looks like on disk."""

    TREC = "trec"
    MSMARCO = "msmarco"
    JSONL = "jsonl"


def run_scores(hits: Sequence[Ranked]) -> list[float]:
    """A score for every hit, the unscored ones strictly below the scored; the first stage's if none is scored."""
    fused = [hit.score for hit in hits if hit.score is not None]
    if not fused:
        return [hit.candidate.score for hit in hits]
    return fused + tail_scores(fused[-1], len(hits) - len(fused))


@dataclass(frozen=True, slots=True)
class RunWriter:
    """Writes rankings to an open text stream in one format; `tag` names the run in TREC's last column."""

    stream: TextIO
    run_format: RunFormat
    tag: str

    def write(self, qid: str, ranking: Ranking, docs: Sequence[bytes] = ()) -> None:
        """Write one query; `docs` are the documents as JSON by first-stage position, needed by `jsonl` alone."""
        if self.run_format is RunFormat.JSONL:
            self.stream.write(_candidate_list(qid, ranking, docs) + "\n")
        elif self.run_format is RunFormat.TREC:
            docids = [hit.candidate.docid for hit in ranking.hits]
            self.stream.writelines(trec_lines(qid, docids, run_scores(ranking.hits), self.tag))
        else:
            self.stream.writelines(f"{qid}\t{hit.candidate.docid}\t{hit.rank}\n" for hit in ranking.hits)


def trec_lines(qid: str, docids: Sequence[str], scores: Sequence[float], tag: str) -> Iterator[str]:
    """`qid Q0 docid rank score tag`, best first, the scores falling strictly."""
    for rank, (docid, score) in enumerate(zip(docids, strictly_falling(scores), strict=True), start=1):
        yield f"{qid} Q0 {docid} {rank} {score!r} {tag}\n"


def _candidate_list(qid: str, ranking: Ranking, docs: Sequence[bytes]) -> str:
    candidates = [
        {
            "docid": hit.candidate.docid,
            "score": score,
            "doc": msgspec.Raw(docs[hit.candidate.rank - 1]),
            "rerank_score": hit.rerank_score,
            "first_stage_score": hit.candidate.score,
            "first_stage_rank": hit.candidate.rank,
        }
        for hit, score in zip(ranking.hits, run_scores(ranking.hits), strict=True)
    ]
    return msgspec.json.encode({"query": {"text": ranking.query, "qid": qid}, "candidates": candidates}).decode()


def strictly_falling(scores: Iterable[float]) -> list[float]:
    """The scores, best first; one that does not fall below its predecessor is lowered by one single-precision step."""
    falling: list[float] = []
    for score in scores:
        single = _f32(score)
        falling.append(single if not falling or single < falling[-1] else _next_below(falling[-1]))
    return falling


def _f32(value: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _next_below(value: float) -> float:
    """The largest single-precision number below `value`, itself single precision and finite."""
    if value == 0:
        return -(2.0**-149)
    (bits,) = struct.unpack("i", struct.pack("f", value))
    stepped: float = struct.unpack("f", struct.pack("i", bits - 1 if value > 0 else bits + 1))[0]
    return stepped


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """A run as query id → document id → score, from a TREC, MS MARCO or candidate-list file, told by its first line.

    MS MARCO runs carry ranks alone: their scores are the negative ranks. Raises `InputError` with file and line for a
    malformed line, or a document listed twice for a query.
    """
    run: dict[str, dict[str, float]] = {}
    for where, line in numbered_lines(path):
        entries = _json_entries(line, where) if line.lstrip().startswith(b"{") else [_column_entry(line, where)]
        for qid, docid, score in entries:
            scores = run.setdefault(qid, {})
            if docid in scores:
                raise InputError(f"{where}: document {docid!r} is listed twice for query {qid!r}.")
            scores[docid] = score
    if not run:
        raise InputError(f"{path} is empty.")
    return run


def _column_entry(line: bytes, where: str) -> tuple[str, str, float]:
    try:
        columns = line.decode().split()
        if len(columns) == 6:
            return columns[0], columns[2], _finite(columns[4])
        qid, docid, rank = columns
        return qid, docid, -_finite(rank)
    except ValueError:
        raise InputError(
            f"{where}: neither a TREC line (qid Q0 docid rank score tag) nor an MS MARCO one (qid docid rank)."
        ) from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


class _RunHit(msgspec.Struct):
    docid: str | int
    score: float


class _RunQuery(msgspec.Struct):
    qid: str | int


class _RunLine(msgspec.Struct):
    candidates: list[_RunHit]
    query: _RunQuery | str
    query_id: str | int | None = None


def _json_entries(line: bytes, where: str) -> list[tuple[str, str, float]]:
    try:
        found = msgspec.json.decode(line, type=_RunLine)
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: no candidate list: {error}.") from None
    qid = found.query.qid if isinstance(found.query, _RunQuery) else found.query_id
    if qid is None:
        raise InputError(f"{where}: the query has no id.")
    # The order in the list is the ranking; its scores are lowered to fall with it.
    scores = strictly_falling(hit.score for hit in found.candidates)
    return [(str(qid), str(hit.docid), score) for hit, score in zip(found.candidates, scores, strict=True)]
