"""The runs of `sidecar reproduce`: the first stage, the model, and the model's other readings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sidecar.cli.long_run import LongRun
from sidecar.cli.progress import working
from sidecar.cli.reproduce_task import OpenTask, Task
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.journal import journal_of
from sidecar.experiments.manifest import manifest_of
from sidecar.experiments.run_files import RunFormat
from sidecar.scoring import Scorer
from sidecar.settings import Settings

# Passages that are scored to estimate the time; as many are scored before, because a first call is slow.
_MEASURED = 16


@dataclass(frozen=True, slots=True)
class Runs:
    """The files of an experiment in its folder.

    With `resume` those that are finished are kept, with `force` an unfinished run that differs is discarded.
    """

    folder: Path
    settings: Settings
    resume: bool
    force: bool = False

    @property
    def first_stage(self) -> Path:
        """Return the path of the first stage's run."""
        return self.folder / "first-stage.jsonl"

    def output(self, reading: str) -> Path:
        """Return the path of the model's run; `reading` is empty for the model as it is."""
        return self.folder / ".".join(part for part in ("reranked", reading, "jsonl") if part)

    def make_folder(self) -> None:
        """Make the folder. Raises `InputError` if it can't be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"can't make the folder {self.folder}: {error.strerror}.") from None

    def variants(self, *, readings: bool) -> dict[str, Settings]:
        """Return the settings by reading: those of the model as it is, and those of its other readings."""
        found = {"": self.settings}
        if readings:
            from sidecar.scoring.checkpoints import readings as others
            from sidecar.scoring.checkpoints.manifest import Manifest
            from sidecar.scoring.loading import locate

            located = locate(self.settings.model, revision=self.settings.revision, offline=True)
            for name, manifest in others.readings(located.manifest or Manifest()).items():
                directory = others.as_directory(located.directory, manifest, self.folder / "readings" / name)
                found[name] = self.settings.model_copy(update={"model": str(directory), "revision": None})
        return found

    def finish(
        self, reading: str, settings: Settings, task: Task, first_stage: OpenTask, *, scorer: Scorer | None = None
    ) -> str:
        """Compute the run of a reading, or keep it if it is finished; return a summary of it.

        A `scorer` is the reading's model, loaded before. Raises `ConfigurationError` if a finished run was made in
        another way.
        """
        output, identity = self.output(reading), first_stage.identity(settings)
        if self.resume and output.is_file() and not journal_of(output).exists():
            _check_finished(output, identity)
            return f"{output} is finished already"
        run = LongRun(
            "reproduce",
            output,
            RunFormat.JSONL,
            "rerank-sidecar",
            settings,
            identity,
            first_stage.about,
            resume=self.resume,
            remove_query=task.remove_query,
            force=self.force,
            scorer=scorer,
        )
        summary = run.finish(
            lambda: first_stage.inputs(settings.window), first_stage_output=None if reading else self.first_stage
        )
        return f"{summary} → {output}"


def _check_finished(output: Path, identity: Mapping[str, Any]) -> None:
    beside = manifest_of(output)
    try:
        made = msgspec.json.decode(beside.read_bytes())["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        made = None
    if made != msgspec.to_builtins(dict(identity)):
        raise ConfigurationError(
            f"{output} is finished, and was made with other settings or inputs.",
            remedy="Use another folder, or replace it with --force.",
        )


def estimated_seconds(first_stage: OpenTask, window: int, scorer: Scorer) -> float:
    """Return the seconds that scoring takes, by a measurement on the passages of the first query.

    The rate is that of a short call on a machine as busy as it is now.
    """
    found = next((one for one in first_stage.lists(set()) if one.candidates), None)
    passages = [one.passage for one in found.candidates if not one.passage.is_empty] if found else []
    if found is None or not passages:
        return 0.0
    measured = (passages * _MEASURED)[:_MEASURED]
    with working("measuring the speed"):
        scorer.score(found.query, measured)
        started = time.perf_counter()
        scorer.score(found.query, measured)
        pace = (time.perf_counter() - started) / len(measured)
    return pace * first_stage.queries * min(window, len(found.candidates))
