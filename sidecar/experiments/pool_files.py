"""The pool of runs as a file that people, or a model, fill with grades, and that is read back as judgements.

The first line describes the pool, each other line is one pair of query and passage. A `key` on each line is a hash of
what was exported, so that a line that was changed, or comes from another pool, is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import InputError
from sidecar.core.json_lines import parse, records
from sidecar.core.listing import some_of
from sidecar.experiments.grades import whole_grade

HIGHEST = 3
SCALE = "0: not relevant, 1: related, 2: answers in part, 3: answers the query"


class PoolHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: an id of the pool's content, how many pairs it has, where they come from, and the grades."""

    pool: str
    pairs: int
    runs: tuple[str, ...]
    depth: int
    grades: str = SCALE


class PoolPair(msgspec.Struct, frozen=True, kw_only=True):
    """A pair to judge; `grade` is None until somebody judged it, `judge` says who: `model NAME` for a model."""

    key: str
    qid: str
    docid: str
    query: str
    passage: str
    grade: int | float | str | None = None
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as it was read, with the place of each pair in the file."""

    header: PoolHeader
    pairs: Sequence[PoolPair]
    places: Sequence[str]


_HEADERS = msgspec.json.Decoder(PoolHeader)
_PAIRS = msgspec.json.Decoder(PoolPair)
_REMEDY = "Only `grade` and `judge` of a line may be filled in. Export the pool again with `sidecar judge RUN…`."


def make_pool(
    orders: Sequence[Mapping[str, Sequence[str]]],
    names: Sequence[str],
    depth: int,
    queries: Mapping[str, str],
    passages: Mapping[str, str],
) -> Pool:
    """Collect the first `depth` documents of each query in any run, without their ranks, in an order by hash.

    Raises `InputError` for a query or a document without a text.
    """
    found: dict[str, set[str]] = {}
    for order in orders:
        for qid, docids in order.items():
            found.setdefault(qid, set()).update(docids[:depth])
    wanted = [(qid, docid) for qid, docids in found.items() for docid in docids]
    lacking = sorted({qid for qid, _ in wanted if qid not in queries})
    bare = sorted({docid for _, docid in wanted if not passages.get(docid, "").strip()})
    for what, names_of, remedy in (
        ("queries", lacking, "--topics"),
        ("documents", bare, "--corpus"),
    ):
        if names_of:
            some = some_of(names_of)
            raise InputError(f"{len(names_of)} {what} of the pool have no text: {some}.", remedy=f"Give {remedy}.")
    identity = hashlib.blake2b(digest_size=8)
    for qid, docid in sorted(wanted):
        identity.update(msgspec.json.encode([qid, docid, queries[qid], passages[docid]]))
    pool = identity.hexdigest()
    pairs = [
        PoolPair(
            key=_key(pool, qid, docid, queries[qid], passages[docid]),
            qid=qid,
            docid=docid,
            query=queries[qid],
            passage=passages[docid],
        )
        for qid, docid in wanted
    ]
    # Ranks would sway a judge, so the pairs of a query are in the order of their hashes.
    places = {qid: place for place, qid in enumerate(found)}
    pairs.sort(key=lambda pair: (places[pair.qid], pair.key))
    return Pool(PoolHeader(pool=pool, pairs=len(pairs), runs=tuple(names), depth=depth), pairs, [])


def write_pool(path: Path, header: PoolHeader, pairs: Iterable[PoolPair]) -> None:
    """Write a pool; the file appears whole. Raises `InputError`."""
    with atomic_write(path) as stream:
        stream.write(msgspec.json.encode(header).decode() + "\n")
        stream.writelines(msgspec.json.encode(pair).decode() + "\n" for pair in pairs)


def read_pool(path: Path) -> Pool:
    """Read a pool. Raises `InputError` with file and line for a pair that was changed, added, doubled or left out."""
    lines = records(path)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path} is empty.", remedy=_REMEDY)
    header = parse(first[1], first[0], _HEADERS, what="no first line of a pool", remedy=_REMEDY)
    pairs, places = _read_pairs(lines, header)
    if len(pairs) != header.pairs:
        raise InputError(f"{path} has {len(pairs)} of the {header.pairs} pairs of its pool.", remedy=_REMEDY)
    return Pool(header, pairs, places)


def graded(pool: Pool, *, partial: bool = False) -> Iterator[tuple[PoolPair, int]]:
    """Yield each pair with its grade; with `partial`, pairs without one are left out.

    Raises `InputError` with file and line for a pair without a grade, and for one that is no whole number of the scale.
    """
    for pair, place in zip(pool.pairs, pool.places, strict=True):
        if pair.grade is None or pair.grade == "":
            if not partial:
                raise InputError(
                    f"{place}: document {pair.docid!r} of query {pair.qid!r} has no grade.",
                    remedy="Judge every pair, or leave out those without a grade with --partial.",
                )
            continue
        grade = whole_grade(pair.grade)
        if grade is None or not 0 <= grade <= HIGHEST:
            raise InputError(f"{place}: {pair.grade!r} is no grade.", remedy=f"Grades are {pool.header.grades}.")
        yield pair, grade


def _read_pairs(lines: Iterable[tuple[str, bytes]], header: PoolHeader) -> tuple[list[PoolPair], list[str]]:
    pairs: list[PoolPair] = []
    places: dict[str, str] = {}
    for where, line in lines:
        pair = parse(line, where, _PAIRS, what="no pair of a pool", remedy=_REMEDY)
        if pair.key != _key(header.pool, pair.qid, pair.docid, pair.query, pair.passage):
            raise InputError(f"{where}: this pair was changed, or belongs to another pool.", remedy=_REMEDY)
        if pair.key in places:
            raise InputError(f"{where}: this pair was there before, in {places[pair.key]}.", remedy=_REMEDY)
        places[pair.key] = where
        pairs.append(pair)
    return pairs, list(places.values())


def _key(pool: str, qid: str, docid: str, query: str, passage: str) -> str:
    return hashlib.blake2b(msgspec.json.encode([pool, qid, docid, query, passage]), digest_size=8).hexdigest()
