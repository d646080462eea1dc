"""`sidecar train`: train an adapter or a whole model on training files, and write it with manifest and card."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import Condition, in_effect
from sidecar.cli.factories import chosen, digest
from sidecar.cli.options import FIELDS, TRAINING, takes
from sidecar.cli.progress import Meter, Pace, progress, working
from sidecar.cli.terminal import say
from sidecar.core.errors import ConfigurationError
from sidecar.experiments.datasets import dataset_id
from sidecar.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.training.development import Gain
    from sidecar.training.model_card import Card
    from sidecar.training.preparing import TrainingSources
    from sidecar.training.train import TrainedModel, TrainingJob

# May differ when a training is continued: the result is the same.
_FREE = "train_gradient_checkpointing"


class LeakPolicy(StrEnum):
    """The action for training queries that occur in the evaluation."""

    REFUSE = "refuse"
    DROP = "drop"


CONDITIONS = (
    Condition(
        ("train_lora_rank", "train_lora_alpha", "train_lora_dropout", "train_lora_targets"),
        lambda mode: mode.train_method == "lora",
        "--method full trains every weight",
    ),
    Condition(
        ("train_lora_rank", "train_lora_alpha", "train_lora_dropout", "train_lora_targets"),
        lambda mode: mode.train_from is None,
        "--from continues an adapter, which has its own",
    ),
    Condition(
        ("train_held_out",),
        lambda mode: mode.development is None,
        "the lists of --development are measured instead",
    ),
    Condition(
        ("train_temperature",),
        lambda mode: mode.train_distillation_weight > 0,
        "nothing is distilled with --distillation-weight 0",
    ),
    Condition(
        ("train_standardize_teacher", "train_false_negative_margin"),
        lambda mode: bool(mode.teacher_scores),
        "there is no teacher without --teacher-scores",
    ),
    Condition(
        ("train_standardize_teacher",),
        lambda mode: mode.train_standardize_teacher or len(mode.teacher_scores or []) < 2,
        "the scores of several teachers are always standardised",
    ),
    Condition(
        ("train_patience", "development_qrels", "development_depth"),
        lambda mode: mode.development is not None,
        "nothing is measured during training without --development",
    ),
    Condition(("leaks",), lambda mode: bool(mode.evaluation), "there is no evaluation without --evaluation"),
)


@command("train", example="sidecar train train.jsonl --base-model e5-small --output my-reranker")
@takes("base_model", "base_revision", "device", *FIELDS, conditions=CONDITIONS, **TRAINING)
def train_command(
    context: typer.Context,
    data: Annotated[
        list[Path],
        typer.Argument(help="Training files: labelled candidate lists, or another known format (docs/FILES.md)."),
    ],
    output: Annotated[Path, typer.Option(help="Folder to write; it appears once it is complete.")],
    qrels: Annotated[
        Path | None, typer.Option(help="Relevance judgements of the candidates. Unset: their labels.")
    ] = None,
    teacher_scores: Annotated[
        list[str] | None,
        typer.Option(help="File of scores from `sidecar teach`; FILE=2 gives it the weight 2. Can be repeated."),
    ] = None,
    development: Annotated[
        Path | None, typer.Option(help="Candidate lists to measure nDCG@10 on during training.")
    ] = None,
    development_qrels: Annotated[
        Path | None, typer.Option(help="Relevance judgements of --development. Unset: its labels.")
    ] = None,
    development_depth: Annotated[int, typer.Option(min=2, help="Candidates of each query to measure.")] = 100,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            help="Queries, qrels or candidate lists of an evaluation, which must not be trained on. Can be repeated."
        ),
    ] = None,
    leaks: Annotated[
        LeakPolicy, typer.Option(help="What to do if training queries occur in --evaluation.")
    ] = LeakPolicy.REFUSE,
    licence: Annotated[
        list[str] | None, typer.Option(help="Licence of the data, for the model card. Can be repeated.")
    ] = None,
    *,
    drop_unusable: Annotated[
        bool,
        typer.Option("--drop-unusable", help="Leave out queries that can't be trained on, and count them."),
    ] = False,
    drop_contradictions: Annotated[
        bool,
        typer.Option("--drop-contradictions", help="Leave out negatives that are also positives of the same query."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a training that was interrupted.")] = False,
    settings: Settings,
) -> None:
    """Train a reranker on judged queries, and on scores of teachers if they are given."""
    from sidecar.scoring.fingerprint import digest_of
    from sidecar.training.curve import CURVE, draw
    from sidecar.training.preparing import TrainingSources, prepare
    from sidecar.training.run_dir import RunDirectory

    if settings.base_model is None and settings.train_from is None:
        raise ConfigurationError("the base model is missing.", remedy="Give one, such as --base-model e5-small.")
    sources = TrainingSources(
        data=data,
        teachers=[_weighted(given) for given in teacher_scores or []],
        qrels=qrels,
        development=development,
        development_qrels=development_qrels,
        development_depth=development_depth,
        evaluation=evaluation or [],
        drop_leaks=leaks is LeakPolicy.DROP,
        drop_unusable=drop_unusable,
        drop_contradictions=drop_contradictions,
    )
    with working("computing checksums of the data"):
        digests = {role: digest(path) for role, path in sources.files().items()}
    run_directory = RunDirectory(output, _identity(settings, sources, digests), resume=resume)
    # Importing torch takes seconds, so a misspelt file is reported before.
    with working("preparing data and base model"):
        from sidecar.training.start import find_start
        from sidecar.training.train import TrainingJob, train

        prepared = prepare(sources, settings, settings.as_fields(), say)
        start = find_start(settings.base_model, settings.train_from, revision=settings.base_revision)
        # A checkpoint holds what was learnt on these weights: on others it would mean something else.
        run_directory.confirm("base model files", digest_of(start.directories))
        job = TrainingJob(start, prepared, settings.device)
    pace = Pace("steps", already=max(run_directory.steps(), default=0))
    with progress("training", pace) as meter:
        trained = train(job, settings, run_directory, _Shown(pace, meter))
    if not trained.main_process:
        return
    with working(f"writing {output}"), run_directory.publish() as folder:
        trained.save(folder)
        has_curve = draw(trained.outcome, folder / CURVE, say)
        card = _card(run_directory.output.name, trained, job, settings, sources, digests, licence or [], context.obj)
        card = replace(card, has_curve=has_curve)
        (folder / "README.md").write_text(str(card), encoding="utf-8")
    say(f"{_summary(trained)} → {output}")
    for line in outlook(trained.outcome.gain, output):
        say(line)


@dataclass(slots=True)
class _Shown:
    """Shows the progress of a training, with the loss and the last measurement."""

    pace: Pace
    meter: Meter
    figure: str = ""

    def step(self, step: int, total: int, pairs: int, loss: float) -> None:
        self.pace.total, self.pace.passages = total, pairs
        self.pace.note = f"loss {loss:.4f}{self.figure}"
        self.meter.reach(step)

    def measured(self, step: int, figure: float, best: float) -> None:
        self.figure = f" · nDCG@10 {figure:.4f} (best {best:.4f})"
        say(f"step {step}: nDCG@10 {figure:.4f}{' (best)' if figure == best else ''}")


def _weighted(given: str) -> tuple[Path, float]:
    """Read FILE or FILE=WEIGHT."""
    name, _, weight = given.rpartition("=")
    if not name:
        return Path(given), 1.0
    try:
        value = float(weight)
    except ValueError:
        return Path(given), 1.0  # the name of a file may hold an equals sign
    if not 0 < value < float("inf"):
        raise ConfigurationError(f"{given}: a teacher's weight is above 0.")
    return Path(name), value


def _identity(settings: Settings, sources: TrainingSources, digests: dict[str, str]) -> dict[str, Any]:
    names = ("base_model", "base_revision", *FIELDS, *(name for name in TRAINING if name != _FREE))
    return {**chosen(settings, names), **digests, **sources.choices()}


def _row(path: Path, found: str) -> str:
    """Describe a source by name and digest; a dataset has its id instead of a digest."""
    return f"`{path}`, {found}" if dataset_id(path) is not None else f"`{path.name}`, SHA-256 {found[:16]}…"


def _card(
    name: str,
    trained: TrainedModel,
    job: TrainingJob,
    settings: Settings,
    sources: TrainingSources,
    digests: dict[str, str],
    licences: list[str],
    words: list[str],
) -> Card:
    from sidecar.experiments.manifest import versions
    from sidecar.training.groups import statistics
    from sidecar.training.model_card import Card

    outcome, development = trained.outcome, job.data.development
    used = in_effect(
        TRAINING,
        settings,
        CONDITIONS,
        teacher_scores=sources.teachers,
        development=sources.development,
        evaluation=sources.evaluation,
    )
    rows = {role: _row(path, digests[role]) for role, path in sources.files().items()}
    return Card(
        name=name,
        base=job.base.name,
        adapted=trained.student.adapted,
        command=shlex.join(["sidecar", *words]),
        data={**rows, "in all": str(statistics(job.data.groups))},
        licences=licences,
        recipe={TRAINING[name].removeprefix("--"): getattr(settings, name) for name in used},
        versions=versions(),
        steps=outcome.steps,
        best_step=outcome.best_step,
        figure=outcome.figure,
        first_stage=None if development is None else development.first_stage(),
        figures=outcome.figures,
        gain=outcome.gain,
        started_from=None if job.base.adapter is None else job.base.adapter.name,
    )


def outlook(gain: Gain | None, output: Path) -> Iterator[str]:
    """Say what a training has gained, loudly if it has lost, and what to do next."""
    if gain is None:
        yield "Nothing was measured: it is unknown whether the model ranks better than before."
        yield f"Next: sidecar run --model {shlex.quote(str(output))} … and sidecar evaluate …, on other queries"
        return
    yield f"{gain}."
    if gain.lost_to:
        yield (
            f"WARNING: the trained model ranks worse than {' and '.join(gain.lost_to)}. Do not serve it. More training "
            "queries, or a teacher's scores, help most (docs/TRAINING.md)."
        )
        yield "Next: sidecar teach … --output teacher.jsonl, then sidecar train … --teacher-scores teacher.jsonl"
    else:
        yield f"Next: sidecar serve --model {shlex.quote(str(output))}"


def _summary(trained: TrainedModel) -> str:
    outcome = trained.outcome
    figure = "" if outcome.figure is None else f", nDCG@10 {outcome.figure:.4f} at step {outcome.best_step}"
    rate = f" ({outcome.pairs / outcome.seconds:.0f} pairs/s)" if outcome.pairs else ""
    memory = "" if outcome.gpu_bytes is None else f", at most {outcome.gpu_bytes / 1e9:.1f} GB of GPU memory"
    return f"{outcome.steps} steps, {outcome.pairs} pairs in {outcome.seconds:.1f} s{rate}{memory}{figure}"
