"""Where a training lives until it is finished: checkpoints that are whole, what it was begun with, and the output."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import ConfigurationError, InputError

RUN, PREFIX = "run.json", "checkpoint-"


class RunDirectory:
    """A folder `.NAME.training` beside the output `NAME`.

    `identity` names everything that decides the result; checkpoints of another identity are never gone on with. Raises
    ConfigurationError if the output is there already, if unfinished checkpoints are there and `resume` is False, or if
    they belong to another training.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        self.output = output.resolve()
        self.directory = self.output.with_name(f".{self.output.name}.training")
        # As it will be read: a tuple is a list in JSON.
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
        """Where a checkpoint is written before it is one."""
        return self.directory / "unfinished"

    def steps(self) -> list[int]:
        """The steps of the whole checkpoints, in order."""
        return sorted(int(path.name.removeprefix(PREFIX)) for path in self.directory.glob(f"{PREFIX}*"))

    def checkpoint(self, step: int) -> Path:
        """The checkpoint of a step."""
        return self.directory / f"{PREFIX}{step}"

    @property
    def last(self) -> Path | None:
        """The checkpoint to go on from, None at the very beginning."""
        return self.checkpoint(self.steps()[-1]) if self.steps() else None

    def keep(self, step: int, best: int | None) -> None:
        """Take a checkpoint over from the staging folder, and remove all but it and the best one."""
        staged, whole = self.staging / f"{PREFIX}{step}", self.checkpoint(step)
        shutil.rmtree(whole, ignore_errors=True)  # of a training that went on from before it
        staged.rename(whole)
        for other in self.steps():
            if other not in {step, best}:
                shutil.rmtree(self.checkpoint(other))

    @contextmanager
    def publish(self) -> Iterator[Path]:
        """Give a folder to write the output into; it appears under its name when the block ends well, all else goes."""
        with whole_directory(self.output) as folder:
            yield folder
        shutil.rmtree(self.directory)

    def _compare(self, resume: bool) -> None:
        found = json.loads((self.directory / RUN).read_text(encoding="utf-8"))
        names = found.keys() | self._identity.keys()
        changed = sorted(name for name in names if found.get(name) != self._identity.get(name))
        if changed:
            raise ConfigurationError(
                f"the unfinished training in {self.directory} differs in {', '.join(changed)}.",
                remedy="Repeat the command it was begun with, or remove that folder.",
            )
        if not resume:
            raise ConfigurationError(
                f"an unfinished training of {self.steps()[-1]} steps lies in {self.directory}.",
                remedy="Go on with it by --resume, or remove that folder.",
            )


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `path` when the block ends well and vanishes when it doesn't."""
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
