"""Shards: parts of a long run that are scored apart, on any machines, and merged to the output of one process.

Shard i of n has every n-th query, from the i-th on. A shard file `OUTPUT.shard-i-of-n` is text: a header as one line of
JSON, which says what the shard was made from, and a line of JSON for each query, in the order of the input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.journal import Journal

Item = TypeVar("Item")

MOST = 10_000
KIND = "rerank-sidecar shard"
# Lines that are read of a shard file at once: any number of shards can be merged without as many open files.
_BLOCK = 64
_SHOWN = 10
_SAME_INPUT = "Give all shards of one run: the same command but for --shard, on the same input."
_FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a run: `number` counts from 1 to `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `i/n`. Raises `ConfigurationError` unless 1 ≤ i ≤ n ≤ `MOST`."""
        found = _FORM.fullmatch(text.strip())
        number, count = (int(part) for part in found.groups()) if found else (0, 0)
        if not 1 <= number <= count <= MOST:
            raise ConfigurationError(
                f"--shard {text!r} is not a part of a run.",
                remedy=f"Give i/n with i from 1 to n, and n at most {MOST}: --shard 1/8 … --shard 8/8.",
            )
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items of this shard, in their order."""
        return islice(items, self.number - 1, None, self.count)

    def has(self, position: int) -> bool:
        """Return whether the item at this position, from 0 on, is in this shard."""
        return position % self.count == self.number - 1

    def size(self, total: int) -> int:
        """Return how many of `total` items are in this shard."""
        return len(range(self.number - 1, total, self.count))

    def file(self, output: Path) -> Path:
        """Return the path of this shard's file beside the output that the shards are merged to."""
        return output.with_name(f"{output.name}.shard-{self.number}-of-{self.count}")


# What a run without shards has.
WHOLE = Shard(1, 1)


class ShardHeader(msgspec.Struct, kw_only=True):
    """The first line of a shard file; `origin` and `model` must be the same in all shards of a run.

    `total` counts the queries of all shards, `entries` those in this file. `origin` has the command, its settings, what
    describes the first stage, and the form of the output; `versions` those of the libraries; `local` what may
    differ between machines.
    """

    kind: str
    number: int
    count: int
    total: int
    entries: int
    origin: dict[str, Any]
    model: dict[str, Any]
    versions: dict[str, str]
    local: dict[str, Any]


class _Entry(msgspec.Struct):
    qid: str
    line: msgspec.Raw


def publish_shard(
    journal: Journal, path: Path, shard: Shard, total: int, *, origin: Mapping[str, Any], **more: dict[str, Any]
) -> None:
    """Write the journal of a finished shard as its file, completely or not at all, and remove the journal.

    Raises `InputError` if the disk is full.
    """
    header = ShardHeader(
        kind=KIND,
        number=shard.number,
        count=shard.count,
        total=total,
        entries=len(journal.done),
        origin=msgspec.to_builtins(dict(origin)),
        **more,
    )
    with atomic_write(path) as stream:
        stream.write(msgspec.json.encode(header).decode() + "\n")
        for qid, line in journal.entries():
            stream.write(msgspec.json.encode(_Entry(qid, msgspec.Raw(line))).decode() + "\n")
    journal.remove()


def read_header(path: Path) -> ShardHeader:
    """Read the first line of a shard file. Raises `InputError` if the file is absent or of another kind."""
    try:
        with path.open("rb") as file:
            header = msgspec.json.decode(file.readline(), type=ShardHeader)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        header = None
    if header is None or header.kind != KIND or not 1 <= header.number <= header.count <= MOST or header.total < 0:
        raise InputError(f"{path} is not a shard.", remedy="Give the files that --shard i/n wrote.")
    return header


class ShardFile:
    """The entries of a shard file, which is read a few lines at a time and never stays open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = read_header(path)

    def entries(self) -> Iterator[tuple[str, bytes]]:
        """Yield every query's id and line. Raises `InputError` if the file is damaged or has too few or too many."""
        found = 0
        for number, raw in enumerate(self._lines()):
            if number == 0:
                continue
            try:
                entry = msgspec.json.decode(raw, type=_Entry)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise self._damaged(f"line {number + 1} is not one of a shard") from None
            found += 1
            if found <= self.header.entries:
                yield entry.qid, bytes(entry.line)
        if found != self.header.entries:
            raise self._damaged(f"it holds {found} of its {self.header.entries} queries")

    def _lines(self) -> Iterator[bytes]:
        position = 0
        while True:
            with self.path.open("rb") as file:
                file.seek(position)
                block = list(islice(file, _BLOCK))
                position = file.tell()
            if not block:
                return
            yield from block

    def _damaged(self, what: str) -> InputError:
        return InputError(
            f"{self.path} is damaged: {what}.", remedy="Copy the file again, or run this shard again with --force."
        )


def in_order(files: Iterable[ShardFile], *, any_versions: bool = False) -> list[ShardFile]:
    """Return all shards of one run, by number.

    Raises `InputError` if one is missing or given twice, if they belong to different runs, or if their libraries have
    different versions, which `any_versions` allows.
    """
    found = sorted(files, key=lambda file: file.header.number)
    first = found[0]
    for other in found[1:]:
        _refuse_another_run(first, other)
        if not any_versions:
            _refuse_other_versions(first, other)
    for one, other in pairwise(found):
        if one.header.number == other.header.number:
            raise InputError(
                f"{one.path} and {other.path} are the same shard, {one.header.number}/{one.header.count}.",
                remedy="Give each shard once.",
            )
    numbers = {file.header.number for file in found}
    missing = [str(number) for number in range(1, first.header.count + 1) if number not in numbers]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (" …" if missing[_SHOWN:] else "")
        raise InputError(
            f"{len(missing)} of {first.header.count} shards are missing: {shown}.",
            remedy=f"Run them (--shard {missing[0]}/{first.header.count}), and give all files.",
        )
    for file in found:
        size = Shard(file.header.number, file.header.count).size(file.header.total)
        if file.header.entries != size:
            raise InputError(
                f"{file.path} has {file.header.entries} queries, where its part of {file.header.total} is {size}.",
                remedy="Run this shard again with --force.",
            )
    return found


def interleaved(files: Sequence[ShardFile]) -> Iterator[bytes]:
    """Yield the line of every query in the order of the input; `files` are all shards, by number.

    Raises `InputError` if a file is damaged, or a query occurs twice.
    """
    sources = [file.entries() for file in files]
    seen: set[str] = set()
    for position in range(files[0].header.total):
        file = files[position % len(files)]
        qid, line = next(sources[position % len(files)])
        if qid in seen:
            raise InputError(f"{file.path} has query {qid!r}, which was there before.", remedy=_SAME_INPUT)
        seen.add(qid)
        yield line
    for source in sources:
        next(source, None)  # checks that the file ends here


def _refuse_another_run(first: ShardFile, other: ShardFile) -> None:
    ours = {"the number of shards": first.header.count, "the number of queries": first.header.total}
    theirs = {"the number of shards": other.header.count, "the number of queries": other.header.total}
    changed = _changed(ours | _flat(first.header), theirs | _flat(other.header))
    if changed:
        raise InputError(
            f"{first.path} and {other.path} are of different runs; they differ in {', '.join(changed)}.",
            remedy=_SAME_INPUT,
        )


def _refuse_other_versions(first: ShardFile, other: ShardFile) -> None:
    changed = _changed(first.header.versions, other.header.versions)
    if changed:
        raise InputError(
            f"{first.path} and {other.path} were made with different versions of {', '.join(changed)}.",
            remedy="Scores may differ in the last digits. Run one of them again, or merge with --any-versions.",
        )


def _flat(header: ShardHeader) -> dict[str, Any]:
    """Name the values one level down, so that a message can say which of them differs."""
    found: dict[str, Any] = {}
    for name, value in {**header.origin, "model": header.model}.items():
        found |= {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
    return found


def _changed(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    missing = object()
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name, missing) != theirs.get(name, missing))
