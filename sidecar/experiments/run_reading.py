"""Read runs of any of the formats we write, for evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sidecar.core.errors import InputError
from sidecar.core.json_lines import is_object, parse, records
from sidecar.experiments.candidate_files import EXPECTED_LIST
from sidecar.experiments.run_files import strictly_falling


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Read a run as query id → document id → score, from a TREC, MS MARCO or candidate-list file, by its first line.

    MS MARCO runs carry ranks alone: their scores are the negative ranks. Raises `InputError` with file and line for a
    malformed line, or a document listed twice for a query.
    """
    run: dict[str, dict[str, float]] = {}
    for where, qid, docid, score in read_entries(path):
        scores = run.setdefault(qid, {})
        if docid in scores:
            raise InputError(f"{where}: document {docid!r} is listed twice for query {qid!r}.")
        scores[docid] = score
    if not run:
        raise InputError(f"{path} holds no result.")
    return run


def read_entries(path: Path) -> Iterator[tuple[str, str, str, float]]:
    """Yield the entries of a run as (`FILE:NUMBER`, query id, document id, score) in file order, as in `read_run`."""
    for where, line in records(path):
        if is_object(line):
            yield from _json_entries(line, where)
        else:
            yield _column_entry(line, where)


def _column_entry(line: bytes, where: str) -> tuple[str, str, str, float]:
    columns = line.decode().split()
    if len(columns) == 6:
        return where, columns[0], columns[2], _score(columns[4], where)
    if len(columns) == 3:
        # A score in the column of the rank would reverse the order.
        if not (columns[2].isascii() and columns[2].isdecimal()):
            raise InputError(
                f"{where}: the rank {columns[2]!r} is not a whole number.",
                remedy="Three columns are qid, docid and rank; a run with scores has TREC's six.",
            )
        return where, columns[0], columns[1], -float(columns[2])
    raise InputError(
        f"{where}: neither a TREC line (qid Q0 docid rank score tag) nor an MS MARCO one (qid docid rank), but "
        f"{len(columns)} columns.",
        remedy="Columns are separated by white space, so ids and tags hold none.",
    )


def _score(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # Python also accepts 1_000 and digits of other scripts.
    if not math.isfinite(value) or "_" in text or not text.isascii():
        raise InputError(
            f"{where}: the score {text!r} is not a finite number.", remedy="Such an entry can't be ranked."
        )
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


_DECODER = msgspec.json.Decoder(_RunLine)


def _json_entries(line: bytes, where: str) -> list[tuple[str, str, str, float]]:
    found = parse(line, where, _DECODER, what="no candidate list", remedy=EXPECTED_LIST)
    qid = found.query.qid if isinstance(found.query, _RunQuery) else found.query_id
    if qid is None:
        raise InputError(f"{where}: the query has no id.")
    # The position in the list is the ranking; its scores are lowered to fall with it.
    scores = strictly_falling(hit.score for hit in found.candidates)
    return [(where, str(qid), str(hit.docid), score) for hit, score in zip(found.candidates, scores, strict=True)]
