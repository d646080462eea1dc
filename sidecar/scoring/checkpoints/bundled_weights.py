"""Find the embedded model, whose weights this package carries, and check that they are the expected ones."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from sidecar.core.errors import ChecksumMismatch, ModelNotFound
from sidecar.scoring.checkpoints.presets import CARRIED, EMBEDDED

# Of what `python -m benchmarks.embedded_model` made of intfloat/e5-small-v2.
SHA256 = "b56cd40a9176e32cfcde31310882d660dae2fdde22958dcf9ff86ecaaf6b863d"
WEIGHTS = "model.safetensors"
NEEDED = (WEIGHTS, "config.json", "tokenizer.json", "tokenizer_config.json", "sidecar.json")
REINSTALL = "Install rerank-sidecar again."


def find_embedded(directory: Path = CARRIED[EMBEDDED]) -> Path:
    """Return the directory with the weights, checked. Raises ModelNotFound or ChecksumMismatch."""
    absent = [name for name in NEEDED if not (directory / name).is_file()]
    if absent:
        raise ModelNotFound(f"{directory} lacks {', '.join(absent)} of the embedded model.", remedy=REINSTALL)
    check_weights(directory / WEIGHTS)
    return directory


def check_weights(path: Path, sha256: str = SHA256) -> None:
    """Raise ChecksumMismatch unless the file has the expected SHA-256 (0.03 s for 34 MB)."""
    about = path.stat()
    found = _digest(path, about.st_size, about.st_mtime_ns)
    if found != sha256:
        raise ChecksumMismatch(
            f"{path} has the SHA-256 {found}, not {sha256}.",
            remedy=f"The file is damaged or another model's. {REINSTALL}",
        )


@functools.lru_cache(maxsize=4)
def _digest(path: Path, size: int, written: int) -> str:
    """Return a file's SHA-256, cached until size or modification time change: a service locates models often."""
    del size, written
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
