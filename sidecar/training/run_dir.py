"""The folder of an unfinished training: complete checkpoints, the identity of the training, and the output."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import ConfigurationError, InputError

RUN, CONFIRMED, PREFIX = "run.json", "confirmed.json", "checkpoint-"


class RunDirectory:
    """A folder `.NAME.training` beside the output `NAME`.

    `identity` names everything that decides the result; a training never continues from checkpoints of another
    identity. Raises ConfigurationError if the output exists, if unfinished checkpoints exist and `resume` is False, or
    if they belong to another training.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        self.output = output.resolve()
        self.directory = self.output.with_name(f".{self.output.name}.training")
        # In the form in which it will be read: a tuple becomes a list in JSON.
        self._identity = msgspec.to_builtins(dict(identity))
        if output.exists():
            raise ConfigurationError(f"{output} is there already.", remedy="Name another --output, or remove it.")
        if self.steps():
            self._compare(resume)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        try:
            self.staging.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"can't write {self.directory}: {error.strerror}.") from None
        with atomic_write(self.directory / RUN) as file:
            json.dump(self._identity, file, indent=2)

    @property
    def staging(self) -> Path:
        """Return the folder in which a checkpoint is written before it is complete."""
        return self.directory / "unfinished"

    def steps(self) -> list[int]:
        """Return the steps of the complete checkpoints, in order."""
        return sorted(int(path.name.removeprefix(PREFIX)) for path in self.directory.glob(f"{PREFIX}*"))

    def checkpoint(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self.directory / f"{PREFIX}{step}"

    @property
    def last(self) -> Path | None:
        """Return the checkpoint to continue from, None at the very beginning."""
        return self.checkpoint(self.steps()[-1]) if self.steps() else None

    def keep(self, step: int, best: int | None) -> None:
        """Move a checkpoint out of the staging folder, and remove all others except the best one."""
        staged, whole = self.staging / f"{PREFIX}{step}", self.checkpoint(step)
        shutil.rmtree(whole, ignore_errors=True)  # left by a training that continued from an earlier step
        staged.rename(whole)
        for other in self.steps():
            if other not in {step, best}:
                shutil.rmtree(self.checkpoint(other))

    @contextmanager
    def publish(self) -> Iterator[Path]:
        """Yield a folder for the output; it gets its name if the block succeeds, and this folder is removed."""
        with whole_directory(self.output) as folder:
            yield folder
        shutil.rmtree(self.directory)

    def confirm(self, name: str, value: str) -> None:
        """Compare a fact that is known only now, such as the content of the base model's files, and keep it.

        Raises ConfigurationError if the checkpoints that are there were made with another value.
        """
        path = self.directory / CONFIRMED
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if known.get(name, value) != value:
            self._refuse([name])
        with atomic_write(path) as file:
            json.dump({**known, name: value}, file)

    def _compare(self, resume: bool) -> None:
        found = json.loads((self.directory / RUN).read_text(encoding="utf-8"))
        names = found.keys() | self._identity.keys()
        changed = sorted(name for name in names if found.get(name) != self._identity.get(name))
        if changed:
            self._refuse(changed)
        if not resume:
            raise ConfigurationError(
                f"an unfinished training of {self.steps()[-1]} steps is in {self.directory}.",
                remedy="Continue it with --resume, or remove that folder.",
            )

    def _refuse(self, changed: list[str]) -> NoReturn:
        raise ConfigurationError(
            f"the unfinished training in {self.directory} differs in {', '.join(changed)}.",
            remedy="Repeat the command it was begun with, or remove that folder.",
        )


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` if the block succeeds and is removed if it fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror or error}.", remedy="Is the disk full?") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
