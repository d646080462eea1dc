"""`sidecar train`: training files in; an adapter, or a whole model, with its manifest and card out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidecar.cli.app import app
from sidecar.cli.effects import Condition, in_effect
from sidecar.cli.factories import chosen, digest, say
from sidecar.cli.options import FIELDS, TRAINING, takes
from sidecar.cli.progress import Meter, Pace, progress
from sidecar.core.errors import ConfigurationError
from sidecar.experiments.datasets import dataset_id
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.training.model_card import Card
    from sidecar.training.preparing import TrainingSources
    from sidecar.training.train import TrainedModel, TrainingJob

# May change between two halves of a training: the result is the same.
_FREE = "train_gradient_checkpointing"


class LeakPolicy(StrEnum):
    """How training queries count that the evaluation knows."""

    REFUSE = "refuse"
    DROP = "drop"


CONDITIONS = (
    Condition(
        ("train_lora_rank", "train_lora_alpha", "train_lora_dropout", "train_lora_targets"),
        lambda mode: mode.train_method == "lora",
        "every weight is trained, without a LoRA",
    ),
    Condition(
        ("train_temperature",),
        lambda mode: mode.train_distillation_weight > 0,
        "nothing is distilled (--distillation-weight)",
    ),
    Condition(
        ("train_standardize_teacher", "train_false_negative_margin"),
        lambda mode: bool(mode.teacher_scores),
        "there is no teacher (--teacher-scores)",
    ),
    Condition(
        ("train_standardize_teacher",),
        lambda mode: mode.train_standardize_teacher or len(mode.teacher_scores or []) < 2,
        "the scores of several teachers are always standardised",
    ),
    Condition(
        ("train_patience", "development_qrels", "development_depth"),
        lambda mode: mode.development is not None,
        "nothing is measured while training (--development)",
    ),
    Condition(("leaks",), lambda mode: bool(mode.evaluation), "there is no evaluation to compare with (--evaluation)"),
)


@app.command("train")
@takes("base_model", "base_revision", "device", *FIELDS, conditions=CONDITIONS, **TRAINING)
def train_command(
    context: typer.Context,
    data: Annotated[
        list[Path], typer.Argument(help="Training files: labelled candidate lists, or another of the known shapes.")
    ],
    output: Annotated[Path, typer.Option(help="Folder to write; it appears whole.")],
    qrels: Annotated[Path | None, typer.Option(help="Judgements of the candidates, instead of their labels.")] = None,
    teacher_scores: Annotated[
        list[str] | None, typer.Option(help="Scores that `sidecar teach` wrote; FILE=2 weighs twice among several.")
    ] = None,
    development: Annotated[Path | None, typer.Option(help="Candidate lists to measure nDCG@10 on.")] = None,
    development_qrels: Annotated[Path | None, typer.Option(help="Their judgements, instead of labels.")] = None,
    development_depth: Annotated[int, typer.Option(min=2, help="Candidates of a query to measure.")] = 100,
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="Queries, qrels or lists of an evaluation: not to be trained on.")
    ] = None,
    leaks: Annotated[LeakPolicy, typer.Option(help="Training queries that the evaluation knows.")] = LeakPolicy.REFUSE,
    licence: Annotated[list[str] | None, typer.Option(help="A licence of the data, for the model card.")] = None,
    *,
    drop_unusable: Annotated[
        bool, typer.Option("--drop-unusable", help="Leave out queries that can't be learnt from, and count them.")
    ] = False,
    drop_contradictions: Annotated[
        bool, typer.Option("--drop-contradictions", help="Leave out negatives that are positives of the same query.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was cut off.")] = False,
    settings: Settings,
) -> None:
    """Train a reranker on judged queries, with teachers' scores if there are any."""
    from sidecar.training.preparing import TrainingSources, prepare
    from sidecar.training.run_dir import RunDirectory

    if settings.base_model is None:
        raise ConfigurationError("there is no base to train.", remedy="Name one, such as --base-model minilm.")
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
    digests = {role: digest(path) for role, path in sources.files().items()}
    workplace = RunDirectory(output, _identity(settings, sources, digests), resume=resume)
    # These take seconds to load, for torch: a misspelt file is named before.
    from sidecar.training.student import find_base
    from sidecar.training.train import TrainingJob, train

    prepared = prepare(sources, settings, settings.as_fields(), say)
    job = TrainingJob(find_base(settings.base_model, revision=settings.base_revision), prepared, settings.device)
    pace = Pace("steps", already=max(workplace.steps(), default=0))
    with progress("training", pace) as meter:
        trained = train(job, settings, workplace, _Shown(pace, meter))
    if not trained.main_process:
        return
    with workplace.publish() as folder:
        trained.save(folder)
        card = _card(workplace.output.name, trained, job, settings, sources, digests, licence or [], context.obj)
        (folder / "README.md").write_text(str(card), encoding="utf-8")
    say(f"{_summary(trained)} → {output}")


@dataclass(slots=True)
class _Shown:
    """Shows a training's progress, with the figure that matters."""

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
    """A source by name and digest; a dataset has its id instead of a digest."""
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
    )


def _summary(trained: TrainedModel) -> str:
    outcome = trained.outcome
    figure = "" if outcome.figure is None else f", nDCG@10 {outcome.figure:.4f} at step {outcome.best_step}"
    rate = f" ({outcome.pairs / outcome.seconds:.0f} pairs/s)" if outcome.pairs else ""
    memory = "" if outcome.gpu_bytes is None else f", at most {outcome.gpu_bytes / 1e9:.1f} GB of GPU memory"
    return f"{outcome.steps} steps, {outcome.pairs} pairs in {outcome.seconds:.1f} s{rate}{memory}{figure}"
