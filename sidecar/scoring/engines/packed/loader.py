"""Load a checkpoint's files straight into the fused buffers, one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from sidecar.core.errors import ConfigurationError, ModelError
from sidecar.scoring.checkpoints.architecture import check_config
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.lora_adapter import check_complete
from sidecar.scoring.checkpoints.precision import FP8
from sidecar.scoring.checkpoints.safetensors_io import open_tensors, stored_formats, weight_files
from sidecar.scoring.engines.packed.architectures import FAMILIES
from sidecar.scoring.engines.packed.fp8 import Fp8Matrix
from sidecar.scoring.engines.packed.lora import HEAD, Factors, Lora, read_lora, unfit_adapter
from sidecar.scoring.engines.packed.readable import read_decoder_config, unfit, whole_name
from sidecar.scoring.engines.packed.weights import Decoder, Matrix, empty_decoder


def packs(engine: str, directory: Path, placement: Placement, *, adapter: Path | None = None) -> bool:
    """True if the packed engine computes: `engine` names it, or is `auto` and the packed engine can.

    Raises ConfigurationError if `engine` names it and it can't, and for FP8 weights, which no other engine has.
    """
    if engine not in ("auto", "packed"):
        return False
    reason = unfit(directory, placement) or (unfit_adapter(adapter) if adapter else None)
    if reason is not None and placement.quantization == FP8:
        raise ConfigurationError(
            f"The packed engine can't run {directory} with fp8 weights: {reason}.", remedy="Use quantization none."
        )
    if reason is not None and engine == "packed":
        raise ConfigurationError(
            f"The packed engine can't run {directory}: {reason}.", remedy="Use the engine auto or transformers."
        )
    return reason is None


def read_decoder(  # noqa: PLR0913  the parts to load, by keyword
    directory: Path,
    placement: Placement,
    *,
    adapter: Path | None = None,
    base: str = "",
    enabled: bool = True,
    head: torch.Tensor | None = None,
) -> Decoder:
    """Read a decoder, with an adapter merged if one is given; memory peaks at the weights and one tensor.

    The arguments are those of `checkpoint.load_classifier`. A score head is kept in float32 as it is stored. Raises
    ModelError for missing weights or weights of another shape, AdapterMismatch.
    """
    config = read_decoder_config(directory)
    check_config(directory, own_code=config.model_type if FAMILIES[config.model_type].read_as else None)
    device, dtype = placement.torch_device(), placement.torch_dtype()
    decoder = empty_decoder(config, dtype=dtype, device=device, fp8=placement.quantization == FP8)
    slots = decoder.slots()
    lora = read_lora(adapter, shapes_of(decoder), base=base) if adapter else None
    if lora is not None and lora.head is not None:
        head = lora.head
    if head is not None:
        slots.pop(HEAD).copy_(head)
    _fill(slots, directory, lora if enabled else None)
    return decoder


def read_base(directory: Path, placement: Placement) -> Decoder:
    """Read a decoder for adapters. Without its own score head it scores NaN until an adapter has one.

    Raises ModelError.
    """
    headless = HEAD not in stored_formats(directory)
    return read_decoder(directory, placement, head=torch.tensor(torch.nan) if headless else None)


def shapes_of(decoder: Decoder) -> dict[str, tuple[int, ...]]:
    """Return the shape of each module's weight, by the module's name."""
    weights = {name: slot for name, slot in decoder.slots().items() if name.endswith(".weight")}
    return {name.removesuffix(".weight"): tuple(slot.shape) for name, slot in weights.items()}


def _fill(slots: dict[str, Matrix], directory: Path, lora: Lora | None) -> None:
    factors = lora.factors if lora else {}
    missing = set(slots)
    for name, tensor in _tensors(directory):
        slot = slots.get(name)
        if slot is None:
            continue  # one of `readable.UNUSED`
        if tensor.shape != slot.shape:
            raise ModelError(
                f"The weight {name} of {directory} is {tuple(tensor.shape)}, its config.json says {tuple(slot.shape)}.",
                remedy="Fetch or save the checkpoint again.",
            )
        _write(tensor, factors.get(name), slot)
        missing.discard(name)
    check_complete(missing, directory)


def _write(tensor: torch.Tensor, change: Factors | None, slot: Matrix) -> None:
    """Write a tensor into its slot, with the change that an adapter makes."""
    if change is None:
        slot.copy_(tensor)
    elif isinstance(slot, Fp8Matrix):
        # Merged in float32, so that the conversion is the only rounding.
        merged = torch.empty(slot.shape, dtype=torch.float32, device=slot.values.device)
        change.merge(tensor, merged)
        slot.copy_(merged)
    else:
        change.merge(tensor, slot)


def _tensors(directory: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor of a checkpoint, by the name that it has in a classifier."""
    for path in weight_files(directory):
        with open_tensors(path) as file:
            for name in file.keys():  # noqa: SIM118  not a dictionary
                yield whole_name(name), file.get_tensor(name)
