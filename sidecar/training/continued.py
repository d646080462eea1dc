"""Load an adapter to train it further: its LoRA and the modules that it saves whole, on its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.adapter_settings import beyond_factors
from sidecar.scoring.checkpoints.lora_adapter import read_config
from sidecar.scoring.checkpoints.peft_adapter import load_adapter


def continued(model: Any, directory: Path, base: str, *, missing: set[str], revision: str | None) -> Any:
    """Return peft's model of a base with an adapter whose weights get gradients.

    `missing` are the weights that the base lacks; `base` and `revision` are what the new adapter records. Raises
    ConfigurationError for an adapter that is more than a plain LoRA, AdapterMismatch for one of another base.
    """
    beyond = beyond_factors(read_config(directory))
    if beyond is not None:
        raise ConfigurationError(
            f"{directory} can't be trained further: {beyond}, and only a plain LoRA can.",
            remedy="Merge it into its base, and train a new adapter on that: --base-model DIRECTORY.",
        )
    rows = model.get_input_embeddings().weight.shape[0]
    adapted = load_adapter(model, directory, base, missing=missing, trainable=True)
    if adapted.get_base_model().get_input_embeddings().weight.shape[0] != rows:
        raise ConfigurationError(
            f"{directory} can't be trained further: it brings token embeddings of its own.",
            remedy="Merge it into its base, and train a new adapter on that: --base-model DIRECTORY.",
        )
    config = adapted.peft_config["default"]
    config.base_model_name_or_path, config.revision = base, revision
    return adapted
