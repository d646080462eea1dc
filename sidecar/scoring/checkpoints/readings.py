"""Other readings of a checkpoint: the same weights with another pooling or truncation, as a directory to load.

DeAR's card and its authors' code disagree about both. The published figures do not say which of them they belong to.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import msgspec

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest

# Poolings and truncations of DeAR's pair: those of the card first, then those of the authors' scripts.
POOLINGS = ("last_token", "last_slot")
TRUNCATIONS = ("joint", "separate")
_MANIFEST = "sidecar.json"


def readings(manifest: Manifest) -> dict[str, Manifest]:
    """Return the other readings of a checkpoint by name, such as `last_slot-joint`.

    Raises `ConfigurationError` for a checkpoint whose pooling and truncation are not in doubt.
    """
    if manifest.pooling not in POOLINGS or manifest.truncation not in TRUNCATIONS:
        raise ConfigurationError(
            "only DeAR's checkpoints have several readings: their card and code disagree about pooling and truncation.",
            remedy="Leave out --readings, or name one of DeAR's presets.",
        )
    found = {}
    for pooling, truncation in product(POOLINGS, TRUNCATIONS):
        if (pooling, truncation) != (manifest.pooling, manifest.truncation):
            found[f"{pooling}-{truncation}"] = msgspec.structs.replace(manifest, pooling=pooling, truncation=truncation)
    return found


def as_directory(checkpoint: Path, manifest: Manifest, directory: Path) -> Path:
    """Make a directory with links to the files of a checkpoint and a manifest of its own; replaces an earlier one.

    Raises `InputError` if the directory can't be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file in sorted(checkpoint.iterdir()):
            link = directory / file.name
            link.unlink(missing_ok=True)
            if file.name != _MANIFEST:
                link.symlink_to(file.resolve())
        write_manifest(manifest, directory)
    except OSError as error:
        raise InputError(f"can't write {directory}: {error.strerror}.") from None
    return directory
