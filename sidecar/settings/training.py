"""The settings of `sidecar train`, declared once; `sidecar.settings` reads them with all the others.

The defaults are those that the model cards of DeAR's LoRAs name, where they name any.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

Targets = Annotated[tuple[str, ...], NoDecode]


class TrainingSettings(BaseModel):
    """The settings of a training: model, loss, data and optimiser."""

    train_from: str | None = Field(
        None,
        min_length=1,
        description="Adapter to continue from: its base, with its LoRA and head as they are. Unset: a new adapter.",
    )
    train_method: Literal["lora", "full"] = Field(
        "lora", description="What is trained. lora: an adapter and the score head. full: every weight."
    )
    train_lora_rank: int = Field(16, ge=1, le=1024, description="Rank of the LoRA.")
    train_lora_alpha: float = Field(32.0, gt=0, le=4096, description="Scale of the LoRA: alpha / rank.")
    train_lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the LoRA.")
    train_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Dropout of the base model; on a CPU it takes a third of the time. Unset: as in its config.",
    )
    train_lora_targets: Targets = Field(
        (),
        description="Linear modules that get a LoRA. Unset: all seven of a Llama layer, or all of an encoder.",
    )

    train_loss: Literal["ranknet", "softmax", "listnet", "lambda"] = Field(
        "ranknet",
        description="Main loss. ranknet: over pairs. softmax: of the best passage. listnet: over the list. "
        "lambda: over pairs, weighted by nDCG.",
    )
    train_target: Literal["labels", "teacher"] = Field(
        "labels", description="What the main loss learns from: labels, or scores of a teacher."
    )
    train_distillation_weight: float = Field(
        0.1, ge=0, le=1, description="Weight of the distillation from teachers in the loss; the main loss has the rest."
    )
    train_temperature: float = Field(2.0, gt=0, le=100, description="Temperature of the distribution of the teachers.")
    train_standardize_teacher: bool = Field(
        False,
        description="Scale the teacher scores of each query to mean 0 and deviation 1; always done for "
        "several teachers.",
    )
    train_false_negative_margin: float | None = Field(
        None,
        ge=-10,
        le=10,
        description="Leave out negatives that teachers score higher than the best positive minus this many deviations. "
        "Unset: none.",
    )

    train_learning_rate: float = Field(
        1e-4, gt=0, le=1, description="Highest learning rate; it decreases linearly to 0."
    )
    train_warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps in which the learning rate increases.")
    train_epochs: float = Field(2.0, gt=0, le=1000, description="Passes over the data.")
    train_batch_queries: int = Field(8, ge=1, le=4096, description="Queries in a batch on each device.")
    train_passages: int = Field(
        2, ge=2, le=1024, description="Passages of a query in a batch: one positive and others."
    )
    train_accumulation: int = Field(2, ge=1, le=4096, description="Batches for each step of the optimiser.")
    train_max_length: int = Field(228, ge=8, le=131072, description="Largest number of tokens of a pair.")
    train_precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of the forward pass. auto: bfloat16 on a GPU that has it, otherwise float32."
    )
    train_gradient_checkpointing: bool | None = Field(
        None,
        description="Compute activations again in the backward pass: less memory, about a third more time. "
        "Unset: only for base models of a billion weights or more.",
    )
    train_held_out: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share of the training queries, at most 200, that is not trained on but measured at the end, if "
        "there are no --development lists. 0: none.",
    )
    train_seed: int = Field(
        42, ge=0, le=2**31, description="Seed of the score head, of the order and of the choice of passages."
    )

    train_checkpoint_steps: int | None = Field(
        None,
        ge=1,
        description="Steps between two checkpoints; --development measures each of them. Unset: four in an epoch.",
    )
    train_patience: int = Field(
        0,
        ge=0,
        le=1000,
        description="Measurements without a new best after which training stops. 0: it never stops early.",
    )

    @field_validator("train_lora_targets", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        """Flags and variables give `q_proj,v_proj`; TOML gives a list."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
