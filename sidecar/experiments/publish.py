"""Write the outputs of a finished journal: the run, and the first stage's run beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from sidecar.core.atomic_write import atomic_write
from sidecar.experiments.journal import Journal
from sidecar.experiments.run_files import RunFormat, first_stage, formatted


def publish(
    journal: Journal, output: Path, run_format: RunFormat, tag: str, *, first_stage_output: Path | None = None
) -> None:
    """Write every query of the journal; each file appears complete, and then the journal is removed."""
    write_run(journal.lines, output, run_format, tag, first_stage_output=first_stage_output)
    journal.remove()


def write_run(
    lines: Callable[[], Iterable[bytes]],
    output: Path,
    run_format: RunFormat,
    tag: str,
    *,
    first_stage_output: Path | None = None,
) -> None:
    """Write the candidate lists that `lines` returns, anew at each call; each file appears complete or not at all."""
    if first_stage_output is not None:
        with atomic_write(first_stage_output) as stream:
            stream.writelines(formatted(first_stage(line), run_format, "first-stage") for line in lines())
    with atomic_write(output) as stream:
        stream.writelines(formatted(line, run_format, tag) for line in lines())
