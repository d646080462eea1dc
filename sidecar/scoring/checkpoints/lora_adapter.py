"""A LoRA adapter's files: its configuration, its tensors, its base model, and whether the two fit together.

`adapter_config.json` gives rank, alpha and targets; the model card is not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.core.errors import AdapterMismatch, ModelError
from sidecar.scoring.checkpoints.adapter_settings import with_defaults
from sidecar.scoring.checkpoints.files import TOKENIZER_CONFIG, holds_tokenizer
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.safetensors_io import open_tensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
# The tasks of peft that are used here, and what has an adapter for them.
SCORING, GENERATING = "SEQ_CLS", "CAUSAL_LM"
_KINDS = {SCORING: "A reranker", GENERATING: "A generator of stage two"}


def is_adapter(directory: Path) -> bool:
    """True if the directory holds a PEFT adapter."""
    return (directory / CONFIG).is_file()


def read_config(directory: Path, task: str = SCORING) -> dict[str, Any]:
    """Read the adapter's own configuration. Raises ModelError unless it is a LoRA for this task."""
    path = directory / CONFIG
    again = "Fetch or save the adapter again."
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}.", remedy=again) from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a JSON object.", remedy=again)
    if config.get("peft_type") != "LORA" or config.get("task_type") not in (task, None):
        raise ModelError(
            f"{directory} is a {config.get('peft_type')} adapter for {config.get('task_type')}.",
            remedy=f"{_KINDS[task]} is a LORA adapter for {task}.",
        )
    if not (directory / WEIGHTS).is_file():
        raise ModelError(
            f"{directory} holds no {WEIGHTS}.", remedy="Only safetensors are read: save the adapter in that format."
        )
    try:
        return with_defaults(config)
    except ValueError as error:
        raise ModelError(f"{path}: {error}.", remedy=again) from error


def tokenizer_directory(adapter: Path, base: Path) -> Path:
    """Find the tokenizer that an adapter was trained with: the one saved beside it, or its base's.

    Raises ModelError for an adapter with a tokenizer configuration but no vocabulary.
    """
    if holds_tokenizer(adapter):
        return adapter
    if (adapter / TOKENIZER_CONFIG).is_file():
        raise ModelError(
            f"{adapter} holds a {TOKENIZER_CONFIG} but not the tokenizer that it belongs to.",
            remedy=f"Save the whole tokenizer beside the adapter, or remove {TOKENIZER_CONFIG} to use the base's.",
        )
    return base


def choose_base(config: dict[str, Any], override: str | None) -> str:
    """Choose the base model: the caller's, or the one the adapter was trained on.

    A directory from the caller is accepted (the shapes are checked later); a hub name other than the adapter's is an
    AdapterMismatch.
    """
    recorded = str(config.get("base_model_name_or_path") or "")
    if not (override or recorded):
        raise ModelError(
            "The adapter does not say which base model it was trained on.", remedy="Name it with base_model."
        )
    if override is None:
        return recorded
    # A recorded path is one on the training machine; only a hub name identifies the model.
    is_hub_name = recorded.count("/") == 1 and not recorded.startswith((".", "/", "~"))
    if is_hub_name and override != recorded and not Path(override).is_dir():
        error = mismatch(recorded, override)
        raise AdapterMismatch(error.message, remedy=f"{error.remedy} {mirror_hint(override)}")
    return override


def check_manifest(name: str, manifest: Manifest) -> None:
    """Raise ModelError for a manifest that no adapter can have: its score is that of its own head."""
    if manifest.kind != "cross-encoder":
        raise ModelError(
            f"{name!r} is an adapter, and its sidecar.json says that it is a {manifest.kind}.",
            remedy="Correct kind and pooling, or merge the adapter into its base and give the whole model.",
        )
    if manifest.yes_token is not None:
        raise ModelError(
            f"{name!r} is an adapter, which brings its own score head.",
            remedy="Leave yes_token and no_token out of its sidecar.json.",
        )


def mirror_hint(mirror: str = "MIRROR") -> str:
    """Say how to use a copy of a base that has another hub name."""
    return (
        f"A mirror with the same weights is named by its directory: `hf download {mirror} --local-dir DIR`, then "
        "`--base-model DIR`."
    )


def mismatch(recorded: str, base: str, why: str = "") -> AdapterMismatch:
    """Make the error for an adapter on the wrong base."""
    return AdapterMismatch(
        f"The adapter was trained on {recorded!r} but the base model is {base!r}{': ' + why if why else ''}.",
        remedy=f"Set the base model to {recorded!r}, or choose another adapter.",
    )


def check_complete(missing: set[str], directory: Path) -> None:
    """Raise ModelError if weights are missing: the libraries fill them with random numbers and only warn."""
    if missing:
        raise ModelError(
            f"{directory} lacks the weights {', '.join(sorted(missing)[:4])}: its scores would be random.",
            remedy="A reranker's score head must be saved with it (PEFT: modules_to_save, task_type SEQ_CLS).",
        )


def read_tensors(directory: Path) -> dict[str, Any]:
    """Read an adapter's tensors, by the names they have in the base model."""
    with open_tensors(directory / WEIGHTS) as file:
        return {key.removeprefix(PREFIX): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def check_fit(shapes: Mapping[str, tuple[int, ...]], tensors: dict[str, Any], recorded: str, base: str) -> None:
    """Raise AdapterMismatch unless the factors fit the base's linear modules, whose weights have these `shapes`."""
    for key, tensor in tensors.items():
        path, _, part = key.partition(".lora_")
        shape = shapes.get(path)
        if shape is None:
            continue
        if part == "A.weight" and tensor.shape[-1] != shape[1]:
            raise mismatch(recorded, base, f"{path} reads {shape[1]} values, the adapter {tensor.shape[-1]}")
        if part == "B.weight" and tensor.shape[0] != shape[0]:
            raise mismatch(recorded, base, f"{path} writes {shape[0]} values, the adapter {tensor.shape[0]}")
