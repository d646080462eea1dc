"""`sidecar merge`: join the shards of a run, which then equals that of one process byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.long_run import keep_finished, keep_inputs
from sidecar.cli.progress import working
from sidecar.cli.terminal import say
from sidecar.core.atomic_write import atomic_write
from sidecar.experiments.manifest import RunManifest, Tally
from sidecar.experiments.publish import write_run
from sidecar.experiments.run_files import RunFormat
from sidecar.experiments.shards import ShardFile, in_order, interleaved


@command("merge", example="sidecar merge run.trec.shard-*-of-8 --output run.trec")
def merge_command(
    shards: Annotated[list[Path], typer.Argument(help="All shards of one run: the files that --shard I/N wrote.")],
    output: Annotated[
        Path, typer.Option(dir_okay=False, help="File to write, with what the command writes beside it.")
    ],
    *,
    any_versions: Annotated[
        bool,
        typer.Option("--any-versions", help="Accept shards that were made with different versions of the libraries."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
) -> None:
    """Join the shards of `run`, `rerank` or `teach` to the output of one process.

    All shards must be there, and of the same command, input, model and options.
    """
    keep_inputs(output, shards)
    files = in_order([ShardFile(path) for path in shards], any_versions=any_versions)
    origin = files[0].header.origin
    beside = output.with_name(f"{output.name}.first-stage") if origin.get("first_stage_output") else None
    keep_finished(output, *([beside] if beside else []), force=force)
    with working(f"writing {output}"):
        if origin["command"] == "teach":
            with atomic_write(output) as stream:
                stream.writelines(line.decode() + "\n" for line in interleaved(files))
        else:
            _write_run(files, output, beside)
    say(f"{files[0].header.total} queries of {len(files)} shards → {output}")


def _write_run(files: Sequence[ShardFile], output: Path, first_stage_output: Path | None) -> None:
    headers = [file.header for file in files]
    origin, local = headers[0].origin, [header.local for header in headers]
    tally = Tally.of(interleaved(files))
    tally.refuse_nothing(output)
    names = {name for header in headers for name in header.versions}
    differing = {name for name in names if len({header.versions.get(name) for header in headers}) > 1}
    manifest = RunManifest(
        origin["command"],
        origin["settings"],
        headers[0].model,
        origin["first_stage"],
        sum(one["passages_from_score_file"] for one in local),
        {name: found for name, found in headers[0].versions.items() if name not in differing},
        [
            {
                "shard": f"{header.number}/{header.count}",
                "queries": header.entries,
                **header.local,
                **{name: header.versions.get(name) for name in sorted(differing)},
            }
            for header in headers
        ],
    )
    manifest.write(
        output,
        tally,
        seconds=sum(one["seconds"] for one in local),
        resumed=sum(one["queries_resumed"] for one in local),
    )
    write_run(
        lambda: interleaved(files),
        output,
        RunFormat(origin["format"]),
        origin["tag"],
        first_stage_output=first_stage_output,
    )
