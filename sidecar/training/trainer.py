"""Hugging Face's Trainer with our batches, losses, measurements and checkpoints."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from sidecar.core.errors import TrainingError
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.cross_encoder import CrossEncoder
from sidecar.scoring.ensemble import completed
from sidecar.scoring.loading import load_beside
from sidecar.settings.training import TrainingSettings
from sidecar.training.development import Development
from sidecar.training.examples import Collator, Examples, in_groups
from sidecar.training.losses import LOSSES, combined
from sidecar.training.run_dir import RunDirectory
from sidecar.training.sampling import Batches
from sidecar.training.student import Student

FIGURE = "eval_ndcg"
# Number of steps whose mean loss is shown.
RECENT = 50
# About so many losses are kept.
LOSSES_KEPT = 200


class TrainingProgress(Protocol):
    """Receives the progress of a training."""

    def step(self, step: int, total: int, pairs: int, loss: float) -> None:
        """Called after a step; `pairs` are those of this process, `loss` is the mean of the last batches."""
        ...

    def measured(self, step: int, figure: float, best: float) -> None:
        """Called after a measurement of the development lists; `best` is the best figure so far, with this one."""
        ...


class RerankTrainer(Trainer):  # type: ignore[misc]
    """Trains a student on groups; `pairs` counts those of this process."""

    control: Any

    def __init__(  # noqa: PLR0913  its parts, by keyword
        self,
        student: Student,
        checkpoint: Checkpoint,
        examples: Examples,
        collator: Collator,
        settings: TrainingSettings,
        *,
        run_dir: RunDirectory,
        development: Development | None,
        progress: TrainingProgress,
        device: str,
    ) -> None:
        self.settings, self.run_dir, self.development, self.progress = settings, run_dir, development, progress
        self.checkpoint = checkpoint
        self.pairs = 0
        self._beside: Scorer | None = None
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._batches = Batches(examples.lengths(), settings.train_batch_queries, seed=settings.train_seed)
        callbacks: list[TrainerCallback] = [_Steps(self)]
        if development is not None and settings.train_patience:
            callbacks.append(EarlyStoppingCallback(settings.train_patience))
        super().__init__(
            model=student,
            args=_arguments(settings, run_dir, len(self._batches), measures=development is not None, device=device),
            data_collator=collator,
            train_dataset=examples,
            eval_dataset=None if development is None else development.queries,
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)  # stdout is not the trainer's

    def get_train_dataloader(self) -> Any:
        """Return batches in our own order."""
        loader = DataLoader(self.train_dataset, batch_sampler=self._batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    def compute_loss(self, model: Any, inputs: Mapping[str, Any], *_: Any, **__: Any) -> Tensor:
        """Return the loss of one batch."""
        settings = self.settings
        target = inputs["teacher"] if settings.train_target == "teacher" else inputs["labels"]
        return combined(
            LOSSES[settings.train_loss],
            in_groups(model(inputs["passes"]), inputs),
            target,
            inputs["mask"],
            teacher=inputs.get("teacher"),
            weight=settings.train_distillation_weight,
            temperature=settings.train_temperature,
        )

    def training_step(self, model: Any, inputs: Mapping[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Run forward and backward. Raises TrainingError if the loss is not finite, before any weight is changed."""
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        value = float(loss) * self.current_gradient_accumulation_steps
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value} after step {self.state.global_step}.",
                remedy="Lower --learning-rate, raise --warmup, or use --precision float32, and start again.",
            )
        self.pairs += int(inputs["mask"].sum())
        self._recent.append(value)
        return loss

    @property
    def recent_loss(self) -> float:
        """Return the mean loss of the last batches."""
        return math.fsum(self._recent) / len(self._recent)

    def measure(self, lists: Development) -> float:
        """Measure the present weights as they will be served: with the cosine beside them if the manifest has one."""
        self.model.eval()
        spec = ModelSpec(model=self.checkpoint.name, device=self.args.device.type)
        if self._beside is None:
            self._beside = load_beside(self.checkpoint.manifest, spec)
        scorer = completed(CrossEncoder(self.checkpoint), self._beside, spec)
        with self.accelerator.autocast():  # a bfloat16 base has a head in float32
            return lists.measure(scorer)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Measure the development lists by the code that serves searches."""
        if self.development is None:
            return {}
        figure = self.measure(self.development)
        metrics = {FIGURE: figure}
        best = figure if self.state.best_metric is None else max(figure, self.state.best_metric)
        self.progress.measured(self.state.global_step, figure, best)
        # Early stopping reads this.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.state.log_history.append({"step": self.state.global_step, **metrics})
        return metrics

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: the count is not used, and counting needs inputs of another shape."""
        del inputs
        return 0

    def _get_output_dir(self, trial: Any) -> str:
        del trial
        return str(self.run_dir.staging)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.is_world_process_zero():
            self.run_dir.keep(self.state.global_step, self.state.best_global_step)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        del state_dict
        if self.args.should_save:
            self.model.save(Path(output_dir or self.args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        (model or self.model).load(Path(resume_from_checkpoint))


class _Steps(TrainerCallback):  # type: ignore[misc]
    """Reports every step to the progress, and keeps the loss of some steps for the learning curve."""

    def __init__(self, trainer: RerankTrainer) -> None:
        self._trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        loss = self._trainer.recent_loss
        if state.global_step % max(1, state.max_steps // LOSSES_KEPT) == 0:
            # Checkpoints keep the history, so it is whole after an interruption, too.
            state.log_history.append({"step": state.global_step, "recent_loss": loss})
        self._trainer.progress.step(state.global_step, state.max_steps, self._trainer.pairs, loss)


def _arguments(
    settings: TrainingSettings, run_dir: RunDirectory, batches: int, *, measures: bool, device: str
) -> TrainingArguments:
    in_epoch = math.ceil(batches / settings.train_accumulation)
    every = settings.train_checkpoint_steps or max(1, in_epoch // 4)
    return TrainingArguments(
        output_dir=str(run_dir.directory),
        per_device_train_batch_size=settings.train_batch_queries,
        gradient_accumulation_steps=settings.train_accumulation,
        num_train_epochs=settings.train_epochs,
        learning_rate=settings.train_learning_rate,
        warmup_steps=settings.train_warmup,
        seed=settings.train_seed,
        bf16=settings.train_precision == "bfloat16",
        use_cpu=device == "cpu",
        save_strategy="steps",
        save_steps=every,
        eval_strategy="steps" if measures else "no",
        eval_steps=every if measures else None,
        metric_for_best_model=FIGURE if measures else None,
        greater_is_better=True,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )
