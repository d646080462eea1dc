"""The model that every system runs: one set of weights, in a directory that any library can load from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.errors import ConfigurationError
from sidecar.scoring.loading import load_scorer

if TYPE_CHECKING:
    from sidecar.scoring.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Subject:
    """`directory` holds model, tokenizer and manifest; where `shared`, only a dwarf of the model.

    Then the weights are too large for a copy each, and what a library has loaded is given the checkpoint's model.
    `device` and `dtype` are names, both resolved.
    """

    checkpoint: Checkpoint
    directory: Path
    device: str
    dtype: str
    shared: bool = False

    def weights(self, loaded: Any) -> Any:
        """The model that a library should run: what it loaded from the directory, or the shared one."""
        return self.checkpoint.model if self.shared else loaded


def prepare(  # noqa: PLR0913  every one is an option of the command, by keyword
    directory: Path, *, model: str | None, shape: str | None, device: str, dtype: str, seed: int
) -> Subject:
    """Make the subject: a checkpoint by name, random weights of a shape, or the embedded model with a random head.

    Raises ConfigurationError where pairs are not cut jointly, which no competitor does otherwise, and what loading a
    model raises.
    """
    from sidecar.scoring.checkpoint import Placement
    from sidecar.scoring.shapes import embedded_classifier, random_llama, save, save_skeleton

    placement = Placement(device, dtype)
    where, kind = placement.torch_device(), placement.torch_dtype()
    if shape is not None:
        checkpoint = random_llama(shape, seed=seed, device=where, dtype=kind)
    elif model is not None:
        checkpoint = _load(model, device, dtype)
    else:
        checkpoint = embedded_classifier(seed=seed, device=where, dtype=kind)
    (save if shape is None else save_skeleton)(checkpoint, directory)
    name = str(kind).removeprefix("torch.")
    return Subject(checkpoint, directory, str(where), name, shared=shape is not None)


def _load(model: str, device: str, dtype: str) -> Checkpoint:
    scorer: Any = load_scorer(model, device=device, dtype=dtype, engine="transformers")
    if scorer.manifest.kind != "cross-encoder" or scorer.manifest.truncation != "joint":
        raise ConfigurationError(
            f"{model} is no cross-encoder that cuts its pairs jointly, so the others would not read what it reads.",
            remedy="Compare with another model; --agreement takes any.",
        )
    checkpoint: Checkpoint = scorer.checkpoint
    return checkpoint
