"""`sidecar teach`: score every pair of training files with a model, for later trainings to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import in_effect
from sidecar.cli.factories import chosen, digest, model_files
from sidecar.cli.long_run import (
    SHARD,
    Done,
    chosen_shard,
    described,
    finished_before,
    keep_finished,
    keep_inputs,
    kept,
    say_discarded,
)
from sidecar.cli.options import ASKING, FIELDS, MODEL, takes
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.rankers import ON_RAY, RAY, RAY_ADDRESS, RAY_CPUS, RAY_GPUS, RAY_WORKERS, chosen_cluster, open_ranker
from sidecar.cli.terminal import say
from sidecar.experiments.shards import WHOLE, Shard, publish_shard
from sidecar.settings import Settings


@command("teach", example="sidecar teach train.jsonl --output teacher.jsonl")
@takes(*MODEL, *FIELDS, conditions=ON_RAY)
def teach_command(
    data: Annotated[list[Path], typer.Argument(help="Training files or candidate lists.")],
    output: Annotated[
        Path, typer.Option(dir_okay=False, help="File of scores to write: one JSON line for each query.")
    ],
    *,
    shard: Annotated[str | None, SHARD] = None,
    drop_unusable: Annotated[
        bool, typer.Option("--drop-unusable", help="Leave out queries with fewer than two passages.")
    ] = False,
    drop_contradictions: Annotated[
        bool,
        typer.Option("--drop-contradictions", help="Leave out negatives that are also positives of the same query."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a scoring that was interrupted.")] = False,
    ray: Annotated[bool, RAY] = False,
    ray_address: Annotated[str | None, RAY_ADDRESS] = None,
    ray_workers: Annotated[int | None, RAY_WORKERS] = None,
    ray_cpus: Annotated[float | None, RAY_CPUS] = None,
    ray_gpus: Annotated[float | None, RAY_GPUS] = None,
    settings: Settings,
) -> None:
    """Score the passages of training files with a model, the teacher, for `sidecar train --teacher-scores`."""
    from sidecar.experiments.journal import Journal
    from sidecar.training.groups import Group
    from sidecar.training.preparing import read_groups
    from sidecar.training.teachers import check_texts, teach

    part = chosen_shard(shard)
    cluster = chosen_cluster(ray, ray_address, ray_workers, ray_cpus, ray_gpus)
    target = part.file(output) if part else output
    keep_finished(output, force=force, resume=resume, shard=part)
    keep_inputs(output, data)
    names = in_effect((*MODEL, *FIELDS), settings)
    identity = chosen(settings, [name for name in names if name not in ASKING])
    with working("computing checksums of the data"):
        identity |= {f"data {number}": digest(path) for number, path in enumerate(data, start=1)}
    # Only what was asked for, so that older files go on.
    drops = {"drop_unusable": drop_unusable, "drop_contradictions": drop_contradictions}
    identity |= {name: True for name, asked in drops.items() if asked}
    if part and finished_before(target, identity, force=force, resume=resume):
        say(f"{target} was finished before")
        return
    own = {**identity, **({"shard": str(part)} if part else {})}
    with kept(Journal(target, own, resume=resume, replace=force)) as journal:
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
        check_texts(groups)
        # Groups of the same content are scored once, so they count once.
        distinct: dict[str, Group] = {}
        for group in groups:
            distinct.setdefault(group.key, group)
        mine = list((part or WHOLE).of(distinct.values()))
        with open_ranker(settings, None, cluster) as ranker:
            # Two models under one name would teach together.
            content = model_files(settings)
            journal.confirm("model_files", content)
            say_discarded(journal)
            resumed = len(journal.done)
            pace = Pace("queries", total=len(mine), already=resumed)
            with progress("scoring", pace) as meter:
                teach(mine, ranker.score_all, settings.model, journal, meter.advance)
            done = Done(journal, {**ranker.describe(), "content": content}, 0, pace.seconds, resumed)
        _publish(done, output, identity, settings, part, len(distinct))
    say(f"{pace.done} queries, {pace.passages} passages scored in {pace.seconds:.1f} s → {target}")


def _publish(
    done: Done, output: Path, identity: dict[str, Any], settings: Settings, part: Shard | None, total: int
) -> None:
    from sidecar.training.teachers import publish_scores

    if part is None:
        publish_scores(done.journal, output)
        return
    origin = {"command": "teach", "settings": identity}
    publish_shard(done.journal, part.file(output), part, total, origin=origin, **described(settings, done))
