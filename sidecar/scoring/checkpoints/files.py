"""The files of a checkpoint: its weights, their size, and what is missing. Reads names, loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from sidecar.core.errors import ModelError, ModelNotFound

_TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
TOKENIZER_CONFIG = "tokenizer_config.json"
WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
_CONFIGURATIONS = ("config.json", "adapter_config.json")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """`weights` files of `size` bytes together; `missing` names the required files that do not exist."""

    weights: int
    size: int
    missing: tuple[str, ...]


def list_checkpoint_files(directory: Path, *, adapter: bool = False) -> CheckpointFiles:
    """List a directory's files: every shard in its index, its configuration and, except for an adapter, a tokenizer.

    Raises `ModelError` for an index that can't be read.
    """
    needed = ["adapter_config.json", "adapter_model.safetensors"] if adapter else ["config.json", *shards(directory)]
    missing = [name for name in needed if not (directory / name).is_file()]
    if not adapter and not holds_tokenizer(directory):
        missing.append(_TOKENIZERS[0])
    weights = [path for path in directory.glob("*.safetensors") if path.is_file()]
    return CheckpointFiles(len(weights), sum(path.stat().st_size for path in weights), tuple(missing))


def holds_tokenizer(directory: Path) -> bool:
    """True if a directory holds a tokenizer with its vocabulary."""
    return any((directory / name).is_file() for name in _TOKENIZERS)


def check_holds_model(directory: Path) -> None:
    """Raise ModelNotFound for a directory without a model, or with models in subfolders."""
    if any((directory / name).is_file() for name in _CONFIGURATIONS):
        return
    inside = sorted(path.parent.name for name in _CONFIGURATIONS for path in directory.glob(f"*/{name}"))
    why = f"neither {' nor '.join(_CONFIGURATIONS)} is there" if any(directory.iterdir()) else "it is empty"
    raise ModelNotFound(
        f"There is no model in {directory}: {why}.",
        remedy=f"Name one of the folders in it: {', '.join(dict.fromkeys(inside))}."
        if inside
        else "Name the directory that save_pretrained wrote, a preset, or a model at the hub.",
    )


def shards(directory: Path) -> list[str]:
    """Return the weight files that an index names, or the single file. Raises ModelError for a damaged index."""
    index = directory / INDEX
    if index.is_file():
        try:
            return sorted(set(msgspec.json.decode(index.read_bytes(), type=_Index).weight_map.values()))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{index} is damaged: {error}.", remedy="Fetch the model again.") from error
    return [] if any(directory.glob("*.safetensors")) else [WEIGHTS]
