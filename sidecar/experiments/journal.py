"""The finished queries of a long run, kept beside its output until that is complete, so that no result is lost.

A journal knows nothing of rankings: each entry is one line of JSON under a query's id.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from sidecar.core.errors import ConfigurationError, InputError


class _Header(msgspec.Struct):
    """The first line: everything that decides what the run's lines are."""

    run: dict[str, Any]


class _Confirmed(msgspec.Struct):
    """A line about a fact that was not known when the header was written."""

    confirmed: dict[str, str]


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
    `ConfigurationError` if an unfinished journal exists and `resume` is False, if it belongs to another run, or if
    another process writes to it. With `replace` a journal of another run is discarded instead; `discarded` names what
    differed.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any], *, resume: bool, replace: bool = False) -> None:
        self.path = journal_of(output)
        self.discarded: list[str] = []
        self._replace = replace
        self._confirmed: dict[str, str] = {}
        # In the form in which it will be read: a tuple becomes a list in JSON.
        self._identity = msgspec.to_builtins(dict(identity))
        self.done: set[str] = set()
        try:
            # Unbuffered: data that could not be written must not be tried again when the file is closed.
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise InputError(f"can't write {self.path}: {error.strerror}.") from None
        try:
            self._lock(output)
            self._go_on(resume)
            if self._file.tell() == 0:
                self._append(msgspec.json.encode(_Header(self._identity)))
        except BaseException:
            self._file.close()
            raise

    def confirm(self, name: str, value: str) -> None:
        """Compare a fact that is known only now, such as the content of the model's files, and keep it.

        It is treated like the identity. Raises `ConfigurationError` if it differs, and `replace` is not set.
        """
        known = self._confirmed.get(name, value)
        if known != value:
            self._refuse([name])
            self.discarded = [name]
            self.done.clear()
            self._confirmed.clear()
            self._cut(0)
            self._append(msgspec.json.encode(_Header(self._identity)))
        if name not in self._confirmed:
            self._append(msgspec.json.encode(_Confirmed({name: value})))
            self._confirmed[name] = value

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
                if _is_confirmed(raw):
                    continue
                entry = msgspec.json.decode(raw, type=_Entry)
                yield entry.qid, bytes(entry.line)

    def remove(self) -> None:
        """Remove the journal after its output is complete."""
        self.path.unlink()  # before the lock is given up: nobody opens it in between
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.done and not self._file.closed:
            self.path.unlink(missing_ok=True)  # it holds nothing to continue from
        self._file.close()

    def _lock(self, output: Path) -> None:
        """Keep other processes out until the file is closed, however this process ends."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = True
        except OSError:  # some network file systems have no locks
            taken = False
        else:
            # A process that ended since the file was opened has removed it.
            taken = not self.path.exists() or not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        if taken:
            raise ConfigurationError(
                f"another process is writing {output}.", remedy="Wait until it has ended, or write to another file."
            )

    def _append(self, line: bytes) -> None:
        # The kernel has each written line: if the process is killed, nothing is lost.
        before, rest = self._file.tell(), memoryview(line + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._cut(before)
            raise InputError(
                f"can't write {self.path}: {error.strerror}.", remedy="Make room, then continue with --resume."
            ) from error

    def _cut(self, size: int) -> None:
        self._file.truncate(size)
        self._file.seek(size)

    def _go_on(self, resume: bool) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                if number == 0:
                    self.discarded = self._compare(line)
                    if self.discarded:
                        break
                elif _is_confirmed(line):
                    self._confirmed |= msgspec.json.decode(line, type=_Confirmed).confirmed
                else:
                    self.done.add(msgspec.json.decode(line, type=_Entry).qid)
                whole += len(line)
        if not resume and self.done:
            raise ConfigurationError(
                f"an unfinished run with {len(self.done)} queries is in {self.path}.",
                remedy="Continue it with --resume, or remove that file.",
            )
        self._cut(whole)

    def _compare(self, line: bytes) -> list[str]:
        found = msgspec.json.decode(line, type=_Header).run
        names = found.keys() | self._identity.keys()
        changed = sorted(name for name in names if found.get(name) != self._identity.get(name))
        if changed:
            self._refuse(changed)
        return changed

    def _refuse(self, changed: list[str]) -> None:
        if not self._replace:
            raise ConfigurationError(
                f"the unfinished run in {self.path} differs in {', '.join(changed)}.",
                remedy="Repeat the command it was begun with, begin anew with --force, or remove that file.",
            )


def _is_confirmed(line: bytes) -> bool:
    return line.startswith(b'{"confirmed":')
