"""Train a reranker: load the base, train, keep the best weights, and write a model that a searcher can load.

Loads torch, transformers and peft.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import set_seed

from sidecar.core.errors import ConfigurationError, TrainingError
from sidecar.scoring.checkpoints.architecture import is_decoder, reads_segments
from sidecar.scoring.checkpoints.checkpoint import Checkpoint, Placement
from sidecar.scoring.checkpoints.manifest import write_manifest
from sidecar.scoring.checkpoints.precision import automatic_dtype
from sidecar.scoring.checkpoints.quiet import quiet_libraries
from sidecar.scoring.engines.padding import pad_id
from sidecar.scoring.prompt import Prompt
from sidecar.settings.training import TrainingSettings
from sidecar.training.development import PERFECT, Development, Gain
from sidecar.training.examples import Collator, Examples
from sidecar.training.preparing import Prepared
from sidecar.training.run_dir import RunDirectory
from sidecar.training.start import start_figure
from sidecar.training.student import Base, Student, load_student
from sidecar.training.trainer import RerankTrainer, TrainingProgress

# Tokens of a forward pass on a CPU, padding included: more would not fit its caches. A GPU takes a batch at once.
CPU_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training: the base, the data, and the `device` (auto, cpu, cuda …)."""

    base: Base
    data: Prepared
    device: str


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The outcome of a training.

    `best_step` is the step whose weights are kept: of the best `figure`, or the last if nothing was measured;
    `figures` are all measurements by step. `pairs`, `seconds` and `gpu_bytes`, the peak of torch's GPU memory
    (None without a GPU), are of this process alone. `losses` are mean losses of the last steps, by step. `gain` is None
    if nothing was measured.
    """

    steps: int
    best_step: int
    figure: float | None
    figures: dict[int, float]
    loss: float | None
    pairs: int
    seconds: float
    gpu_bytes: int | None
    losses: dict[int, float]
    gain: Gain | None


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The student with its best weights; `main_process` is True if this process writes them."""

    student: Student
    checkpoint: Checkpoint
    outcome: TrainingResult
    main_process: bool

    def save(self, directory: Path) -> None:
        """Write the files that `load_scorer` loads: the adapter or the whole model, with its manifest."""
        self.student.save(directory)
        if not self.student.adapted or self.student.own_tokenizer:
            self.checkpoint.tokenizer.save_pretrained(str(directory))
        manifest = write_manifest(self.checkpoint.manifest, directory)
        for weights in directory.glob("*.safetensors"):
            # Only their owner may read safetensors' files by default, but a service runs as another user.
            shutil.copymode(manifest, weights)


def train(
    job: TrainingJob, settings: TrainingSettings, run_dir: RunDirectory, progress: TrainingProgress
) -> TrainedModel:
    """Train, from the run directory's last checkpoint if it has one.

    Raises ConfigurationError for settings that can't go together, ModelError for a base that can't be loaded,
    TrainingError if the loss is not finite or memory runs out.
    """
    _check(job, settings)
    placement = Placement(job.device)
    device = placement.torch_device()
    settings = settings.model_copy(update={"train_precision": _precision(settings.train_precision, device)})
    set_seed(settings.train_seed)
    # Before the student is loaded, so that memory holds one model at a time.
    measured = job.data.development or job.data.held_out
    start = start_figure(job.base, measured, job.device) if measured is not None else None
    student, checkpoint = load_student(job.base, settings, "cpu")
    prompt = Prompt(checkpoint.tokenizer, checkpoint.manifest, segments=reads_segments(checkpoint.model))
    examples = Examples(
        job.data.groups, job.data.teacher, prompt, passages=settings.train_passages, seed=settings.train_seed
    )
    collator = Collator(
        pad_id(checkpoint.tokenizer, decoder=is_decoder(checkpoint.model)),
        max_tokens=CPU_TOKENS if device.type == "cpu" else None,
    )
    began = time.monotonic()
    with quiet_libraries(), _explained():
        trainer = RerankTrainer(
            student,
            checkpoint,
            examples,
            collator,
            settings,
            run_dir=run_dir,
            development=job.data.development,
            progress=progress,
            device=device.type,
        )
        trainer.train(resume_from_checkpoint=str(run_dir.last) if run_dir.last else None)
    outcome = _take_best(trainer, run_dir, time.monotonic() - began)
    if measured is not None and trainer.is_world_process_zero():
        outcome = replace(outcome, gain=_gain(trainer, job, measured, outcome.figure, start))
    return TrainedModel(student, checkpoint, outcome, trainer.is_world_process_zero())


def _take_best(trainer: RerankTrainer, run_dir: RunDirectory, seconds: float) -> TrainingResult:
    state = trainer.state
    best = state.best_global_step or state.global_step
    if trainer.is_world_process_zero():
        trainer.model.load(run_dir.checkpoint(best))
        trainer.model.eval()
    history = {entry["step"]: entry["eval_ndcg"] for entry in state.log_history if "eval_ndcg" in entry}
    losses = {entry["step"]: entry["recent_loss"] for entry in state.log_history if "recent_loss" in entry}
    loss = trainer.recent_loss if trainer.pairs else None
    return TrainingResult(
        steps=state.global_step,
        best_step=best,
        figure=state.best_metric,
        figures=history,
        loss=loss,
        pairs=trainer.pairs,
        seconds=seconds,
        gpu_bytes=torch.cuda.max_memory_allocated() if trainer.args.device.type == "cuda" else None,
        losses=losses,
        gain=None,
    )


def _gain(
    trainer: RerankTrainer, job: TrainingJob, lists: Development, figure: float | None, start: float | None
) -> Gain:
    chosen = job.data.development is not None
    first_stage = lists.first_stage()
    return Gain(
        queries=len(lists.queries),
        trained=figure if chosen and figure is not None else trainer.measure(lists),
        first_stage=None if first_stage >= PERFECT else first_stage,
        start=start,
        chosen=chosen,
    )


def _check(job: TrainingJob, settings: TrainingSettings) -> None:
    if job.base.adapter is not None and settings.train_method == "full":
        raise ConfigurationError(
            "the method full trains a whole model, and --from continues an adapter.",
            remedy="Leave --method out, or merge the adapter into its base and give that as --base-model.",
        )
    if job.data.teacher is None and (settings.train_distillation_weight > 0 or settings.train_target == "teacher"):
        raise ConfigurationError(
            f"a distillation weight of {settings.train_distillation_weight:g} and the target "
            f"{settings.train_target} need a teacher's scores.",
            remedy="Give --teacher-scores (`sidecar teach` writes them), or --distillation-weight 0 --target labels.",
        )
    if job.data.teacher is None and settings.train_false_negative_margin is not None:
        raise ConfigurationError(
            "false negatives are found by a teacher's scores.",
            remedy="Give --teacher-scores, or leave --false-negative-margin out.",
        )
    if settings.train_loss == "lambda" and settings.train_target == "teacher":
        raise ConfigurationError("the lambda loss needs labels.", remedy="Use --target labels, or another --loss.")


def _precision(wanted: str, device: torch.device) -> str:
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "float32"
    found = automatic_dtype(device.type, torch.cuda.get_device_capability(device))
    return "bfloat16" if found == "bfloat16" else "float32"


@contextmanager
def _explained() -> Iterator[None]:
    """Add to an error what to lower if memory ran out, on a GPU or in the machine."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_memory(error):
            raise
        raise TrainingError(
            f"memory ran out: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            remedy="Continue with --resume --gradient-checkpointing, or start again with a lower --batch-queries (and "
            "--accumulation raised as much), --passages or --max-length.",
        ) from error


def _is_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
