"""The finished queries of a long run, kept beside its output until that is complete, so that no result is lost.

A journal knows nothing of rankings: each entry is one line of JSON under a query's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from sidecar.core.errors import ConfigurationError, InputError


class _Header(msgspec.Struct):
    """The first line: everything that decides what the run's lines are."""

    run: dict[str, Any]


class _Entry(msgspec.Struct):
    qid: str
    line: msgspec.Raw


def journal_of(output: Path) -> Path:
    """Return the path of the journal of an unfinished output."""
    return output.with_name(f".{output.name}.journal")


class Journal:
    """An append-only file `.NAME.journal` beside the output `NAME`.

    `identity` names everything that decides the run's result (model, input, fusion, …); a run never continues from a
    journal of another identity. An incomplete last line is dropped. Raises
    `ConfigurationError` if an unfinished journal exists and `resume` is False, or if it belongs to another run.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        self.path = journal_of(output)
        # In the form in which it will be read: a tuple becomes a list in JSON.
        self._identity = msgspec.to_builtins(dict(identity))
        self.done: set[str] = set()
        if self.path.exists():
            self._go_on(resume)
        try:
            # Unbuffered: data that could not be written must not be tried again when the file is closed.
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise InputError(f"can't write {self.path}: {error.strerror}.") from None
        if self._file.tell() == 0:
            self._append(msgspec.json.encode(_Header(self._identity)))

    def add(self, qid: str, line: bytes) -> None:
        """Add one finished query; it survives the end of this process, however that ends.

        Raises `InputError` if the disk is full; earlier entries stay complete.
        """
        self._append(msgspec.json.encode(_Entry(qid, msgspec.Raw(line))))
        self.done.add(qid)

    def lines(self) -> Iterator[bytes]:
        """Yield every entry, in the order of adding."""
        return (line for _, line in self.entries())

    def entries(self) -> Iterator[tuple[str, bytes]]:
        """Yield every query's id and entry, in the order of adding."""
        with self.path.open("rb") as file:
            next(file)
            for raw in file:
                entry = msgspec.json.decode(raw, type=_Entry)
                yield entry.qid, bytes(entry.line)

    def remove(self) -> None:
        """Remove the journal after its output is complete."""
        self._file.close()
        self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if not self.done:
            self.path.unlink(missing_ok=True)  # it holds nothing to continue from

    def _append(self, line: bytes) -> None:
        # The kernel has each written line: if the process is killed, nothing is lost.
        before, rest = self._file.tell(), memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(before)
            raise InputError(
                f"can't write {self.path}: {error.strerror}.", remedy="Make room, then continue with --resume."
            ) from error

    def _go_on(self, resume: bool) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    self._compare(line)
                else:
                    self.done.add(msgspec.json.decode(line, type=_Entry).qid)
                whole += len(line)
        if not resume and self.done:
            raise ConfigurationError(
                f"an unfinished run with {len(self.done)} queries is in {self.path}.",
                remedy="Continue it with --resume, or remove that file.",
            )
        with self.path.open("r+b") as file:
            file.truncate(whole)

    def _compare(self, line: bytes) -> None:
        found = msgspec.json.decode(line, type=_Header).run
        names = found.keys() | self._identity.keys()
        changed = sorted(name for name in names if found.get(name) != self._identity.get(name))
        if changed:
            raise ConfigurationError(
                f"the unfinished run in {self.path} differs in {', '.join(changed)}.",
                remedy="Repeat the command it was begun with, or remove that file.",
            )
