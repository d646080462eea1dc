"""From a hub name to a directory on this machine, and every hub failure to one of our errors.

Only configuration, tokenizer and safetensors files are ever asked for: pickled weights and code stay where they are.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from sidecar.core.errors import GatedModel, ModelError, ModelNotFound
from sidecar.scoring.checkpoints.presets import CARRIED, PRESETS

WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
# Second copies of the same weights, as Llama's, Mistral's and the exporters' repositories carry them.
UNWANTED = ["original/*", "consolidated*", "onnx/*", "openvino/*"]
# Seconds the hub may take to answer at all; a machine without network must not hang.
ANSWER_SECONDS = 5.0


def fetch(name: str, *, revision: str | None = None, offline: bool = False, endpoint: str | None = None) -> Path:
    """Bring a checkpoint to this machine, or find it in the hub's cache; returns its directory.

    With `offline`, or without network, only the cache is asked. Raises ModelNotFound, GatedModel or ModelError.
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
    """Say in our words why the hub gave nothing for `name`."""
    from huggingface_hub import errors

    # Where it can, the hub's client looks into its cache after a refusal, and what was refused is then the cause.
    answers = (getattr(e, "response", None) for e in (error, error.__cause__))
    status = next((answer.status_code for answer in answers if answer is not None), None)
    if isinstance(error, errors.GatedRepoError) or (
        status in (401, 403) and not isinstance(error, errors.RepositoryNotFoundError)
    ):
        return GatedModel(
            f"The model {name!r} is gated: its licence was not accepted, or no token that may read it is there.",
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
    """Make the error for a name that leads nowhere, with the presets and the nearest of them."""
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
