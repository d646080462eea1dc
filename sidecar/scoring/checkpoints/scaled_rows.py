"""Weights that are stored as rows of 8-bit integers with one scale for each row, read for transformers.

This package carries its own model so (`benchmarks/embedded_model.py` writes the form); `encoder_model` reads it without
torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.scoring.checkpoints.encoder_model import SCALE
from sidecar.scoring.checkpoints.safetensors_io import open_tensors, stored_formats, weight_files

if TYPE_CHECKING:
    import torch

INTEGERS = "I8"


def stores_scaled_rows(directory: Path) -> bool:
    """Whether some tensors are 8-bit integers, and each of them has its scales beside it."""
    found = stored_formats(directory)
    integers = [name for name, stored in found.items() if stored == INTEGERS]
    return bool(integers) and all(name + SCALE in found for name in integers)


def load_scaled_rows(auto_class: Any, directory: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Load a model by a class of transformers' own out of scaled rows, with what transformers says of the loading."""
    from transformers import AutoConfig

    labels = {name: options.pop(name) for name in ("num_labels",) if name in options}
    config = AutoConfig.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False, **labels)
    # Only a model's own class takes weights without a directory, and only transformers knows which class it is.
    own_class = type(_skeleton(auto_class, config))
    found: tuple[Any, dict[str, Any]] = own_class.from_pretrained(
        None, config=config, state_dict=_multiplied(directory), output_loading_info=True, **options
    )
    return found


def _skeleton(auto_class: Any, config: Any) -> Any:
    import torch

    with torch.device("meta"):
        return auto_class.from_config(config)


def _multiplied(directory: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in weight_files(directory):
        with open_tensors(path) as file:
            names = set(file.keys())
            for name in sorted(names):
                if name.endswith(SCALE) and name.removesuffix(SCALE) in names:
                    continue
                tensor = file.get_tensor(name)
                if name + SCALE in names:
                    tensor = tensor.float() * file.get_tensor(name + SCALE).float()[:, None]
                # In one format, so that transformers takes none of them for the format of all.
                found[name] = tensor.float()
    return found
