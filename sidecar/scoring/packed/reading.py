"""From a checkpoint's files straight into the fused buffers, one tensor at a time; and what can be read like that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from sidecar.errors import ConfigurationError, ModelError
from sidecar.scoring.adapter import check_complete
from sidecar.scoring.architecture import check_config
from sidecar.scoring.checkpoint import Placement
from sidecar.scoring.inventory import INDEX, shards
from sidecar.scoring.packed.lora import HEAD, Lora, read_lora, unfit_adapter
from sidecar.scoring.packed.weights import Llama, empty_llama
from sidecar.scoring.tensors import open_tensors

WEIGHTS = "model.safetensors"
# Ways to scale rotary frequencies that do not depend on a text's length.
ROPE = ("default", "linear", "llama3")


def packs(engine: str, directory: Path, placement: Placement, *, adapter: Path | None = None) -> bool:
    """Whether the packed engine is to compute: asked for, or with `auto` wherever it can.

    Raises ConfigurationError where it was asked for and can't.
    """
    if engine not in ("auto", "packed"):
        return False
    reason = unfit(directory, placement) or (unfit_adapter(adapter) if adapter else None)
    if reason is not None and engine == "packed":
        raise ConfigurationError(
            f"The packed engine can't run {directory}: {reason}.", remedy="Use the engine auto or transformers."
        )
    return reason is None


def unfit(directory: Path, placement: Placement) -> str | None:
    """Say why a checkpoint can't be packed; None where it can."""
    if placement.quantization != "none":
        return "it does not quantise weights"
    if placement.device_map is not None:
        return "it does not spread a model by a device_map"
    try:
        kind = json.loads((directory / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError):
        return "its config.json can't be read"
    if kind != "llama":
        return f"it is a {kind}, not a Llama"
    if not ((directory / WEIGHTS).is_file() or (directory / INDEX).is_file()):
        return f"it has neither {WEIGHTS} nor {INDEX}"
    return _unfit_llama(_config(directory))


def read_llama(  # noqa: PLR0913  every one is a part of what is loaded, by keyword
    directory: Path,
    placement: Placement,
    *,
    adapter: Path | None = None,
    base: str = "",
    enabled: bool = True,
    head: torch.Tensor | None = None,
) -> Llama:
    """Read a Llama, with an adapter merged where one is given; memory peaks at the weights and one tensor.

    The arguments are those of `checkpoint.load_classifier`. A score head is kept in float32 as it is stored. Raises
    ModelError for missing weights or weights of another shape, AdapterMismatch.
    """
    check_config(directory)
    device, dtype = placement.torch_device(), placement.torch_dtype()
    llama = empty_llama(_config(directory), dtype=dtype, device=device)
    slots = llama.slots()
    lora = read_lora(adapter, shapes_of(llama), base=base) if adapter else None
    if lora is not None:
        head = lora.head
    if head is not None:
        slots.pop(HEAD).copy_(head)
    _fill(slots, directory, lora if enabled else None)
    return llama


def read_base(directory: Path, placement: Placement) -> Llama:
    """Read a Llama that adapters bring score heads for: until one does, its scores are NaN. Raises ModelError."""
    return read_llama(directory, placement, head=torch.tensor(torch.nan))


def shapes_of(llama: Llama) -> dict[str, tuple[int, ...]]:
    """The shape of each module's weight, by the module's name."""
    return {name.removesuffix(".weight"): tuple(slot.shape) for name, slot in llama.slots().items()}


def _fill(slots: dict[str, torch.Tensor], directory: Path, lora: Lora | None) -> None:
    factors = lora.factors if lora else {}
    missing = set(slots)
    for name, tensor in _tensors(directory):
        slot = slots.get(name)
        if slot is None:
            continue  # an lm_head, or rotary frequencies that old checkpoints carry
        if tensor.shape != slot.shape:
            raise ModelError(
                f"The weight {name} of {directory} is {tuple(tensor.shape)}, its config.json says {tuple(slot.shape)}.",
                remedy="Fetch or save the checkpoint again.",
            )
        if name in factors:
            factors[name].merge(tensor, slot)
        else:
            slot.copy_(tensor)
        missing.discard(name)
    check_complete(missing, directory)


def _tensors(directory: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a checkpoint; a bare LlamaModel's get the prefix that the others have."""
    for path in _shards(directory):
        with open_tensors(path) as file:
            for name in file.keys():  # noqa: SIM118  it is no dictionary
                bare = name.startswith(("layers.", "embed_tokens.", "norm."))
                yield f"model.{name}" if bare else name, file.get_tensor(name)


def _shards(directory: Path) -> list[Path]:
    single = (directory / WEIGHTS).is_file()
    return [directory / name for name in ([WEIGHTS] if single else shards(directory))]


def _config(directory: Path) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig.from_pretrained(str(directory), local_files_only=True)


def _unfit_llama(config: Any) -> str | None:
    if config.attention_bias or config.mlp_bias:
        return "its projections have biases"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    rope = config.rope_parameters["rope_type"]
    return None if rope in ROPE else f"its rotary frequencies are scaled by {rope}"
