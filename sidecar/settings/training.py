"""The knobs of `sidecar train`, declared once; `sidecar.settings` reads them with all the others.

The defaults are those of DeAR's LoRA cards, as far as these name them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import NoDecode

Targets = Annotated[tuple[str, ...], NoDecode]


class TrainingSettings(BaseModel):
    """A recipe: what is learnt, from which part of the data, and how fast."""

    train_method: Literal["lora", "full"] = Field(
        "lora", description="What is trained: a LoRA adapter with the score head, or every weight."
    )
    train_lora_rank: int = Field(16, ge=1, le=1024, description="Rank of the LoRA.")
    train_lora_alpha: float = Field(32.0, gt=0, le=4096, description="Scale of the LoRA: alpha / rank.")
    train_lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the LoRA.")
    train_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Dropout of the base itself; unset: its own. On a CPU, drawing it takes a third of the time.",
    )
    train_lora_targets: Targets = Field(
        (),
        description="Linear modules that get a LoRA; unset: the seven of a Llama's layer, all of an encoder's.",
    )

    train_loss: Literal["ranknet", "softmax", "listnet", "lambda"] = Field(
        "ranknet", description="The main loss: over pairs, the best passage, the whole list, or pairs by their nDCG."
    )
    train_target: Literal["labels", "teacher"] = Field("labels", description="What the main loss asks the model for.")
    train_distillation_weight: float = Field(
        0.1, ge=0, le=1, description="Share of the teachers' distribution in the loss; the main loss has the rest."
    )
    train_temperature: float = Field(2.0, gt=0, le=100, description="Temperature of the teachers' distribution.")
    train_standardize_teacher: bool = Field(
        False, description="Scale each query's teacher scores to mean 0, deviation 1; of several teachers always so."
    )
    train_false_negative_margin: float | None = Field(
        None,
        ge=-10,
        le=10,
        description="Leave out what teachers put above the best positive less so many deviations; unset: nothing.",
    )

    train_learning_rate: float = Field(1e-4, gt=0, le=1, description="Highest learning rate; it falls to 0 linearly.")
    train_warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    train_epochs: float = Field(2.0, gt=0, le=1000, description="Times the data are gone through.")
    train_batch_queries: int = Field(8, ge=1, le=4096, description="Queries in a batch, on each device.")
    train_passages: int = Field(2, ge=2, le=1024, description="Passages of a query in a batch: a positive and others.")
    train_accumulation: int = Field(2, ge=1, le=4096, description="Batches between two steps of the optimiser.")
    train_max_length: int = Field(228, ge=8, le=131072, description="Tokens of a pair, at most.")
    train_precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Arithmetic of the forward pass; auto: bfloat16 on a GPU that has it, else float32."
    )
    train_gradient_checkpointing: bool | None = Field(
        None,
        description="Compute activations anew in the backward pass: less memory, about a third more time; unset: for "
        "bases of a billion weights and more.",
    )
    train_seed: int = Field(42, ge=0, le=2**31, description="Seed of the head, the order and the choice of passages.")

    train_checkpoint_steps: int | None = Field(
        None, ge=1, description="Steps between two checkpoints, each measured if there are --development lists; "
        "unset: four in an epoch.",
    )  # fmt: skip
    train_patience: int = Field(
        0, ge=0, le=1000, description="Measurements without a new best after which training stops; 0: it goes on."
    )

    @field_validator("train_lora_targets", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        """Flags and variables give `q_proj,v_proj`; TOML gives a list."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
