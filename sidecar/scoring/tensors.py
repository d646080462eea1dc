"""Files of weights in safetensors, opened with an error that says which one is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sidecar.errors import ModelError


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """Open a file to read tensors of. Raises ModelError for one that is not there, or is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The checkpoint {path.parent} can't be loaded: {path.name}: {error}", remedy="Fetch or save it again."
        ) from error
