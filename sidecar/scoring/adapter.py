"""A LoRA adapter on its base model: does it belong there, and what is the merged model.

`adapter_config.json` is trusted for rank, alpha and targets; the model card is not asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.errors import AdapterMismatch, ModelError
from sidecar.scoring.quiet import quiet_libraries
from sidecar.scoring.tensors import open_tensors

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."


def is_adapter(directory: Path) -> bool:
    """Whether the directory holds a PEFT adapter."""
    return (directory / CONFIG).is_file()


def read_config(directory: Path) -> dict[str, Any]:
    """Read the adapter's own configuration. Raises ModelError unless it is a LoRA for sequence classification."""
    path = directory / CONFIG
    try:
        config = dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelError(f"{path} is not a JSON object: {error}.", remedy="Fetch or save the adapter again.") from error
    if config.get("peft_type") != "LORA" or config.get("task_type") not in ("SEQ_CLS", None):
        raise ModelError(
            f"{directory} is a {config.get('peft_type')} adapter for {config.get('task_type')}.",
            remedy="A reranker is a LORA adapter for SEQ_CLS.",
        )
    if not (directory / WEIGHTS).is_file():
        raise ModelError(
            f"{directory} holds no {WEIGHTS}.", remedy="Only safetensors are read: save the adapter in that format."
        )
    return config


def choose_base(config: dict[str, Any], override: str | None) -> str:
    """Choose the base model: the caller's, or the one the adapter was trained on.

    A directory of the caller's own is taken at its word (the shapes are checked later); another hub name than the
    adapter's is an AdapterMismatch.
    """
    recorded = str(config.get("base_model_name_or_path") or "")
    if not (override or recorded):
        raise ModelError(
            "The adapter does not say which base model it was trained on.", remedy="Name it with base_model."
        )
    if override is None:
        return recorded
    # A recorded path is where somebody trained; only a hub name says which model it was.
    is_hub_name = recorded.count("/") == 1 and not recorded.startswith((".", "/", "~"))
    if is_hub_name and override != recorded and not Path(override).is_dir():
        raise mismatch(recorded, override)
    return override


def mismatch(recorded: str, base: str, why: str = "") -> AdapterMismatch:
    """Make the error for an adapter on the wrong base."""
    return AdapterMismatch(
        f"The adapter was trained on {recorded!r} but the base model is {base!r}{': ' + why if why else ''}.",
        remedy=f"Set the base model to {recorded!r}, or choose another adapter.",
    )


def apply_adapter(  # noqa: PLR0913  called in one place, by keyword
    model: Any, directory: Path, base: str, *, missing: set[str], enabled: bool, dtype: Any
) -> Any:
    """Merge the adapter into the base model, layer by layer: in fp32, cast to `dtype` once; None leaves it unmerged.

    `missing` are the weights that the base checkpoint did not have. With `enabled` False the LoRA is left out and only
    the score head that travels with it is taken: the base model has none of its own. Raises AdapterMismatch where
    shapes or modules do not fit, ModelError where the adapter does not bring the head either.
    """
    tensors, recorded = read_tensors(directory), str(read_config(directory).get("base_model_name_or_path"))
    shapes = {name: _shape(module) for name, module in model.named_modules()}
    check_fit(shapes, tensors, recorded, base)
    head = {key: tensor for key, tensor in tensors.items() if "lora_" not in key}
    check_complete(missing - set(head), directory)
    if not enabled:
        model.load_state_dict(head, strict=False)
        return model

    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    with quiet_libraries():
        device = "cpu" if dtype is not None else str(model.device)
        adapted = PeftModel.from_pretrained(model, str(directory), torch_device=device)
    for name, layer in adapted.base_model.model.named_modules():
        if isinstance(layer, LoraLayer):
            if not any(key.startswith(f"{name}.lora_") for key in tensors):
                raise mismatch(recorded, base, f"it has no weights for {name}")
            if dtype is None:
                continue
            # In bf16 the small update is rounded twice: 0.046 sigma of the scores at worst, against 0.028 this way.
            layer.get_base_layer().float()
            layer.merge()
            layer.get_base_layer().to(dtype)
    if dtype is None:
        inner = adapted.base_model.model
        inner.score = inner.score.modules_to_save["default"]
        return inner
    with quiet_libraries():
        return adapted.merge_and_unload()


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
    """Raise AdapterMismatch unless the tensors fit the base's modules; `shapes` are their weights', () without one."""
    for key, tensor in tensors.items():
        path, _, part = key.partition(".lora_")
        shape = shapes.get(path if part else key.rpartition(".")[0])
        if shape is None:
            raise mismatch(recorded, base, f"it has no {path}")
        if len(shape) != 2:
            continue
        if part.startswith("A.") and tensor.shape[-1] != shape[1]:
            raise mismatch(recorded, base, f"{path} reads {shape[1]} values, the adapter {tensor.shape[-1]}")
        if part.startswith("B.weight") and tensor.shape[0] != shape[0]:
            raise mismatch(recorded, base, f"{path} writes {shape[0]} values, the adapter {tensor.shape[0]}")
        if not part and key.endswith(".weight") and tuple(tensor.shape) != shape:
            raise mismatch(recorded, base, f"{key} is {shape}, the adapter's {tuple(tensor.shape)}")


def _shape(module: Any) -> tuple[int, ...]:
    """Shape of a module's weight before it was packed into 4 bits; empty where it has none."""
    if hasattr(module, "out_features"):
        return (module.out_features, module.in_features)
    weight = getattr(module, "weight", None)
    return () if weight is None else tuple(weight.shape)
