"""`sidecar teach`: a model's scores for every pair of training files, once, for trainings to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import app
from sidecar.cli.effects import in_effect
from sidecar.cli.factories import build_reranker, chosen, digest, say
from sidecar.cli.long_run import keep_finished, kept
from sidecar.cli.options import FIELDS, MODEL, takes
from sidecar.cli.progress import Pace, progress
from sidecar.settings import Settings


@app.command("teach")
@takes(*MODEL, *FIELDS)
def teach_command(
    data: Annotated[list[Path], typer.Argument(help="Training files or candidate lists.")],
    output: Annotated[Path, typer.Option(dir_okay=False, help="Scores to write, a line of JSON for each query.")],
    *,
    drop_unusable: Annotated[
        bool, typer.Option("--drop-unusable", help="Leave out queries with fewer than two passages.")
    ] = False,
    drop_contradictions: Annotated[
        bool, typer.Option("--drop-contradictions", help="Leave out negatives that are positives of the same query.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what finished scoring left there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with scoring that was cut off.")] = False,
    settings: Settings,
) -> None:
    """Let a model, the teacher, score the passages of every query; its tokenizer and prompt are its own affair."""
    from sidecar.experiments.journal import Journal
    from sidecar.training.preparing import read_groups
    from sidecar.training.teachers import publish_scores, teach

    keep_finished(output, force=force, resume=resume)
    identity = chosen(settings, in_effect((*MODEL, *FIELDS), settings))
    identity |= {f"data {number}": digest(path) for number, path in enumerate(data, start=1)}
    with kept(Journal(output, identity, resume=resume)) as journal:
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
