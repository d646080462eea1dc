"""What there is of a checkpoint: its weight files, their size, and what is lacking. Looks at names, loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from sidecar.errors import ModelError

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model")
INDEX = "model.safetensors.index.json"


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """`weights` files of `size` bytes together; `missing` names what has to be there and is not."""

    weights: int
    size: int
    missing: tuple[str, ...]


def take_inventory(directory: Path, *, adapter: bool = False) -> Inventory:
    """Look at a directory: every shard that its index names, its configuration and, unless an adapter, a tokenizer.

    Raises `ModelError` for an index that can't be read.
    """
    needed = ["adapter_config.json", "adapter_model.safetensors"] if adapter else ["config.json", *shards(directory)]
    missing = [name for name in needed if not (directory / name).is_file()]
    if not adapter and not any((directory / name).is_file() for name in _TOKENIZERS):
        missing.append(_TOKENIZERS[0])
    weights = [path for path in directory.glob("*.safetensors") if path.is_file()]
    return Inventory(len(weights), sum(path.stat().st_size for path in weights), tuple(missing))


def shards(directory: Path) -> list[str]:
    """The weight files that an index names, or the one there is without. Raises ModelError for a damaged index."""
    index = directory / INDEX
    if index.is_file():
        try:
            return sorted(set(msgspec.json.decode(index.read_bytes(), type=_Index).weight_map.values()))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{index} is damaged: {error}.", remedy="Fetch the model again.") from error
    return [] if any(directory.glob("*.safetensors")) else ["model.safetensors"]
