"""Find or download the directory of a hub name, and turn every hub failure into one of our errors.

Only configuration, tokenizer and safetensors files are requested, never pickled weights or code.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from sidecar.core.errors import GatedModel, ModelError, ModelNotFound
from sidecar.scoring.checkpoints.presets import CARRIED, PRESETS

WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
# Second copies of the same weights, as in the repositories of Llama, Mistral and exporters.
UNWANTED = ["original/*", "consolidated*", "onnx/*", "openvino/*"]
# Seconds to wait for the hub's first answer; a machine without network must not hang.
ANSWER_SECONDS = 5.0


def fetch(name: str, *, revision: str | None = None, offline: bool = False, endpoint: str | None = None) -> Path:
    """Download a checkpoint, or find it in the hub's cache; returns its directory.

    With `offline`, or without network, only the cache is used. Raises ModelNotFound, GatedModel or ModelError.
    """
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(
            name,
            revision=revision,
            allow_patterns=WANTED,
            ignore_patterns=UNWANTED,
            local_files_only=offline,
            etag_timeout=ANSWER_SECONDS,
            endpoint=endpoint,
        )
    except Exception as error:
        raise explain(error, name, revision=revision) from error
    return Path(path)


def explain(error: Exception, name: str, *, revision: str | None = None) -> ModelError:
    """Turn a failure of the hub to give `name` into one of our errors."""
    from huggingface_hub import errors

    # After a refusal the hub's client looks into its cache, if it can; the refusal is then the cause of the error.
    answers = (getattr(e, "response", None) for e in (error, error.__cause__))
    status = next((answer.status_code for answer in answers if answer is not None), None)
    if isinstance(error, errors.GatedRepoError) or (
        status in (401, 403) and not isinstance(error, errors.RepositoryNotFoundError)
    ):
        return GatedModel(
            f"The model {name!r} is gated: its licence was not accepted, or there is no token that may read it.",
            remedy=f"Accept its licence on the hub's page of {name!r}, then log in (`hf auth login`) or set HF_TOKEN.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelNotFound(
            f"The model {name!r} has no revision {revision!r}.", remedy="Name a branch, tag or commit of it."
        )
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled | errors.RevisionResolutionError):
        return not_found(name, "is not in the local hub cache, and the hub can't be reached")
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return not_found(name, "is not at the hub either (or is private)")
    return ModelError(f"The hub could not give {name!r}: {error}", remedy="Try again, or pass a local directory.")


def not_found(name: str, why: str) -> ModelNotFound:
    """Make the error for a name that is not found, with the presets and the nearest of them."""
    if any(name == preset.model for preset in PRESETS.values()):
        return ModelNotFound(
            f"The model {name!r} {why}.",
            remedy="Let this machine reach the hub once, or bring the model here and give its directory.",
        )
    presets = [*CARRIED, *PRESETS]
    near = difflib.get_close_matches(name, presets, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ModelNotFound(
        f"{name!r} is neither a preset nor a directory, and {why}.{hint}",
        remedy=f"Presets: {', '.join(presets)}. Or give a directory, or the name of a model at the hub.",
    )
