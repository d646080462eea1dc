"""Weight files in safetensors: which tensors are stored and how, opened with an error that names a damaged file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.files import WEIGHTS, shards

# The number formats, as safetensors calls them, of weights that are numbers by themselves, without a scale beside them.
PLAIN = ("F64", "F32", "F16", "BF16")


@contextmanager
def open_tensors(path: Path, *, framework: str = "pt") -> Iterator[Any]:
    """Open a file to read tensors of: torch's, or numpy's with the `framework` "numpy".

    Raises ModelError for one that is not there, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The checkpoint {path.parent} can't be loaded: {path.name}: {error}", remedy="Fetch or save it again."
        ) from error


def weight_files(directory: Path) -> list[Path]:
    """List the files that transformers reads: the single one where it is there, or those that the index names."""
    single = (directory / WEIGHTS).is_file()
    return [directory / name for name in ([WEIGHTS] if single else shards(directory))]


def stored_formats(directory: Path) -> dict[str, str]:
    """Map the name of every stored tensor to its number format; headers alone are read. Raises ModelError."""
    found: dict[str, str] = {}
    for path in weight_files(directory):
        with open_tensors(path) as file:
            found |= {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  no dictionary
    return found
