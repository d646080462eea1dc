"""The model that every system runs: one set of weights, in a directory that any library can load from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sidecar.bench.options import Options
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.loading import load_scorer

if TYPE_CHECKING:
    from sidecar.scoring.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Subject:
    """`directory` holds model, tokenizer and manifest for our engines; competitors load `foreign`, mostly the same.

    If the weights are `shared`, since they are too large for one copy each, `foreign` holds a tiny model, and a library
    that has loaded it gets the checkpoint's model instead. `device` and `dtype` are resolved names,
    `asked` is the requested dtype, which may be `auto`, and `quantization` that of the options.
    """

    checkpoint: Checkpoint
    directory: Path
    foreign: Path
    device: str
    dtype: str
    asked: str
    shared: bool = False
    quantization: str = "none"

    def weights(self, loaded: Any) -> Any:
        """Return the model that a library should run: the one it loaded from the directory, or the shared one."""
        return self.checkpoint.model if self.shared else loaded


def prepare(directory: Path, options: Options) -> Subject:
    """Make the subject: a checkpoint by name, random weights of a shape, or the embedded model with a random head.

    Raises ConfigurationError if pairs are not cut jointly, since all competitors cut them so, and what loading a
    model raises.
    """
    from sidecar.bench.shapes import (
        ENCODER_SHAPES,
        embedded_classifier,
        random_encoder,
        random_llama,
        save,
        save_skeleton,
    )
    from sidecar.scoring.checkpoints.checkpoint import Placement

    if options.shape is not None and options.model is not None:
        raise ConfigurationError("A shape's weights are random: --shape and --model exclude each other.")
    placement = Placement(options.device, options.dtype)
    where, kind = placement.torch_device(), placement.torch_dtype()
    if options.shape is not None:
        draw = random_encoder if options.shape in ENCODER_SHAPES else random_llama
        checkpoint = draw(options.shape, seed=options.seed, device=where, dtype=kind)
    elif options.model is not None:
        checkpoint = _load(options.model, options)
    else:
        checkpoint = embedded_classifier(seed=options.seed, device=where, dtype=kind)
    save(checkpoint, directory)
    shared, foreign = options.shape is not None and options.shape not in ENCODER_SHAPES, directory
    if shared:
        foreign = directory / "dwarf"
        save_skeleton(checkpoint, foreign)
    names = str(where), str(kind).removeprefix("torch."), options.dtype
    return Subject(checkpoint, directory, foreign, *names, shared, options.quantization)


def _load(model: str, options: Options) -> Checkpoint:
    scorer: Any = load_scorer(model, device=options.device, dtype=options.dtype, engine="transformers")
    if scorer.manifest.kind != "cross-encoder" or scorer.manifest.truncation != "joint":
        raise ConfigurationError(
            f"{model} is not a cross-encoder that cuts its pairs jointly, so the others would read other tokens.",
            remedy="Compare with another model; --agreement takes any.",
        )
    # Competitors ignore the manifest's `beside`.
    checkpoint: Checkpoint = (scorer.cross if scorer.manifest.beside else scorer).checkpoint
    return replace(checkpoint, manifest=msgspec.structs.replace(checkpoint.manifest, beside=None))
