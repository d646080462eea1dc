"""Identify a model's scores by its files (their hash, or size and time), its manifest, and how it is run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sidecar.core.model_spec import ModelSpec
from sidecar.scoring import Scorer
from sidecar.scoring.cache_keys import add_text
from sidecar.scoring.checkpoints.hub import WANTED
from sidecar.scoring.checkpoints.lora_adapter import choose_base, is_adapter, read_config
from sidecar.scoring.checkpoints.manifest import as_json
from sidecar.scoring.checkpoints.safetensors_io import weight_files
from sidecar.scoring.loading import locate, placement_of, spec_beside
from sidecar.scoring.remote.scorer import RemoteScorer, load_remote

# The only file of a checkpoint, beside weights, that is read from a subfolder.
POOLING = "1_Pooling/config.json"
# Fields of a `ModelSpec` that change more of a score than its last digits.
DECISIVE = ("invariant", "quantization", "adapter", "chunking")
# The hub's names of the files in its cache: SHA-1 as Git has it, or SHA-256.
_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")

# What `content_digest` reads of a large file: 64 MB in all, as bytes and places.
_SAMPLE = 1 << 16
_SAMPLES = 1024


def fingerprint(scorer: Scorer, spec: ModelSpec) -> str:
    """Return an identifier of the scores of a model that was loaded by this specification.

    A file of the hub's cache is identified by the hub's hash, any other by its size and modification time. So a copied
    model counts as another one, and a model whose files were replaced is never taken for the previous one. A remote
    model is identified by what its server tells. Batches and the machine change only last digits; they are not
    distinguished. Raises what locating the model raises.
    """
    if isinstance(scorer, RemoteScorer):
        return scorer.identity
    placement = placement_of(spec)
    digest = hashlib.blake2b(digest_size=16)
    # A fusion changes no score of the model.
    add_text(digest, as_json(scorer.manifest, leave_out=("fusion",)))
    add_text(digest, scorer.engine_name)
    # GPUs of one kind compute the same, so that a service may use several.
    add_text(digest, f"{placement.device_name().partition(':')[0]} {placement.dtype_name()}")
    for name in DECISIVE:
        add_text(digest, f"{name} {getattr(spec, name)}")
    beside = scorer.manifest.beside
    for directory in (*_directories(spec), *(_directories(spec_beside(spec, beside.model)) if beside else ())):
        for line in _files(directory):
            add_text(digest, line)
    return digest.hexdigest()


def content_digest(spec: ModelSpec) -> str:
    """Return an identifier of the content of a model's files, which is the same for a copy on another machine.

    Of a large file it reads samples: its ends and `_SAMPLES` places between, for weights of 16 GB are loaded in less
    time than they are hashed. Training, merging or quantising weights changes every sample. Of a remote model it is
    what its server tells. Raises what locating the model raises.
    """
    if spec.is_remote:
        remote = load_remote(spec)
        remote.close()
        return remote.identity
    manifest = locate(spec.model, revision=spec.revision, offline=True).manifest
    beside = None if manifest is None else manifest.beside
    return digest_of([*_directories(spec), *(_directories(spec_beside(spec, beside.model)) if beside else ())])


def digest_of(directories: Iterable[Path]) -> str:
    """Return an identifier of the content of a model's directories; of a large file it reads samples."""
    digest = hashlib.blake2b(digest_size=16)
    for directory in directories:
        for path in _paths(directory):
            add_text(digest, str(path.relative_to(directory)))
            _add_samples(digest, path)
    return digest.hexdigest()


def _add_samples(digest: hashlib.blake2b, path: Path) -> None:
    size = path.stat().st_size
    add_text(digest, str(size))
    count = min(_SAMPLES, -(-size // _SAMPLE))
    with path.open("rb") as file:
        for number in range(count):
            # The last sample ends with the file; a small file is read whole.
            file.seek(number * max(0, size - _SAMPLE) // max(1, count - 1))
            digest.update(file.read(_SAMPLE))


def _directories(spec: ModelSpec) -> Iterator[Path]:
    """Yield a model's directory and, for an adapter, the base model's; both were loaded, so the hub is not asked."""
    own = locate(spec.model, revision=spec.revision, offline=True).directory
    yield own
    if is_adapter(own):
        config = read_config(own)
        revision = spec.base_revision or config.get("revision")
        yield locate(choose_base(config, spec.base_model), revision=revision, offline=True).directory


def _paths(directory: Path) -> list[Path]:
    # An index may name weights in a subfolder.
    weights = {path for path in weight_files(directory) if path.is_file()}
    return sorted(weights.union(*(directory.glob(pattern) for pattern in (*WANTED, POOLING))))


def _files(directory: Path) -> Iterator[str]:
    for path in _paths(directory):
        real = path.resolve()
        found = real.stat()
        # A folder of the user's may be called blobs, too; its files are named by no hash.
        hashed = path.is_symlink() and real.parent.name == "blobs" and _HASH.fullmatch(real.name)
        content = real.name if hashed else f"{found.st_size} {found.st_mtime_ns}"
        yield f"{path.relative_to(directory)} {content}"
