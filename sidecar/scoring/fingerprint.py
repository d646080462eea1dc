"""Tells a model's scores from another's by its files, its manifest, and how it is run. Computed at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from sidecar.core.model_spec import ModelSpec
from sidecar.scoring import Scorer
from sidecar.scoring.cache_keys import add_text
from sidecar.scoring.checkpoints.hub import WANTED
from sidecar.scoring.checkpoints.lora_adapter import choose_base, is_adapter, read_config
from sidecar.scoring.checkpoints.manifest import as_json
from sidecar.scoring.loading import locate, placement_of, spec_beside

# The one file of a checkpoint that is read from a folder within it.
POOLING = "1_Pooling/config.json"
# Fields of a `ModelSpec` that change a score by more than the last digits.
DECISIVE = ("invariant", "quantization", "adapter", "chunking")


def fingerprint(scorer: Scorer, spec: ModelSpec) -> str:
    """Return a name for the scores of a model that was loaded by this specification.

    A file of the hub's cache goes by the hash that the hub gave it, another by its size and the time it was written: a
    model that is copied anew is another one, one whose files were exchanged is never taken for what it was. What the
    batches and the machine do to the last digits is not told apart. Raises what locating the model does.
    """
    placement = placement_of(spec)
    digest = hashlib.blake2b(digest_size=16)
    add_text(digest, as_json(scorer.manifest))
    add_text(digest, scorer.engine_name)
    add_text(digest, f"{placement.device_name()} {placement.dtype_name()}")
    for name in DECISIVE:
        add_text(digest, f"{name} {getattr(spec, name)}")
    beside = scorer.manifest.beside
    for directory in (*_directories(spec), *(_directories(spec_beside(spec, beside.model)) if beside else ())):
        for told in _files(directory):
            add_text(digest, told)
    return digest.hexdigest()


def _directories(spec: ModelSpec) -> Iterator[Path]:
    """A model's directory and, of an adapter, the base model's; both were loaded, so no hub is asked."""
    own = locate(spec.model, revision=spec.revision, offline=True).directory
    yield own
    if is_adapter(own):
        config = read_config(own)
        revision = spec.base_revision or config.get("revision")
        yield locate(choose_base(config, spec.base_model), revision=revision, offline=True).directory


def _files(directory: Path) -> Iterator[str]:
    for path in sorted({path for pattern in (*WANTED, POOLING) for path in directory.glob(pattern)}):
        real = path.resolve()
        found = real.stat()
        content = real.name if real.parent.name == "blobs" else f"{found.st_size} {found.st_mtime_ns}"
        yield f"{path.relative_to(directory)} {content}"
