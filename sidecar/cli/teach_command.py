"""`sidecar teach`: score every pair of training files with a model, for later trainings to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import in_effect
from sidecar.cli.factories import build_reranker, chosen, digest
from sidecar.cli.long_run import keep_finished, kept
from sidecar.cli.options import FIELDS, MODEL, takes
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.terminal import say
from sidecar.settings import Settings


@command("teach", example="sidecar teach train.jsonl --output teacher.jsonl")
@takes(*MODEL, *FIELDS)
def teach_command(
    data: Annotated[list[Path], typer.Argument(help="Training files or candidate lists.")],
    output: Annotated[
        Path, typer.Option(dir_okay=False, help="File of scores to write: one JSON line for each query.")
    ],
    *,
    drop_unusable: Annotated[
        bool, typer.Option("--drop-unusable", help="Leave out queries with fewer than two passages.")
    ] = False,
    drop_contradictions: Annotated[
        bool,
        typer.Option("--drop-contradictions", help="Leave out negatives that are also positives of the same query."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a scoring that was interrupted.")] = False,
    settings: Settings,
) -> None:
    """Score the passages of training files with a model, the teacher, for `sidecar train --teacher-scores`."""
    from sidecar.experiments.journal import Journal
    from sidecar.training.preparing import read_groups
    from sidecar.training.teachers import publish_scores, teach

    keep_finished(output, force=force, resume=resume)
    identity = chosen(settings, in_effect((*MODEL, *FIELDS), settings))
    with working("computing checksums of the data"):
        identity |= {f"data {number}": digest(path) for number, path in enumerate(data, start=1)}
    with kept(Journal(output, identity, resume=resume)) as journal:
        with working("reading the data"):
            groups = read_groups(
                data,
                settings.as_fields(),
                say,
                qrels=None,
                drop=drop_unusable,
                labelled=False,
                drop_contradictions=drop_contradictions,
            )
        scorer = build_reranker(settings, remember=False).scorer
        total = len({group.key for group in groups})
        pace = Pace("queries", total=total, already=len(journal.done))
        with progress("scoring", pace) as meter:
            teach(groups, scorer, settings.model, journal, meter.advance)
        publish_scores(journal, output)
    say(f"{pace.done} queries, {pace.passages} passages scored in {pace.seconds:.1f} s → {output}")
