"""Weight files in safetensors: list the stored tensors and formats, and name a damaged file in the error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.files import WEIGHTS, shards

# safetensors' names of the number formats whose numbers are weights without a scale beside them.
PLAIN = ("F64", "F32", "F16", "BF16")


@contextmanager
def open_tensors(path: Path, *, framework: str = "pt") -> Iterator[Any]:
    """Open a file to read its tensors: torch's, or numpy's with the `framework` "numpy".

    Raises ModelError for a file that does not exist or is damaged.
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
    """List the files that transformers reads: the single one if it exists, else those that the index names."""
    single = (directory / WEIGHTS).is_file()
    return [directory / name for name in ([WEIGHTS] if single else shards(directory))]


def stored_formats(directory: Path) -> dict[str, str]:
    """Return the number format of every stored tensor by name; only headers are read. Raises ModelError."""
    found: dict[str, str] = {}
    for path in weight_files(directory):
        with open_tensors(path) as file:
            found |= {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  not a dictionary
    return found
