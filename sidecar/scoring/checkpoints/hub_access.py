"""Check whether the hub would give a checkpoint to this account, and its size; nothing is downloaded."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from sidecar.core.errors import GatedModel, ModelError
from sidecar.scoring.checkpoints.hub import ANSWER_SECONDS, UNWANTED, WANTED, explain, not_found


@dataclass(frozen=True, slots=True)
class HubAccess:
    """`size` is the bytes that would be downloaded, `free` the free bytes of the target disk."""

    size: int
    free: int


def ask_hub(name: str, *, revision: str | None = None, endpoint: str | None = None) -> HubAccess:
    """Ask the hub about a model. Raises what fetching it would raise: ModelNotFound, GatedModel or ModelError.

    Without network this takes `ANSWER_SECONDS` at most; in the hub's offline mode nothing is asked.
    """
    from huggingface_hub import HfApi, constants, errors

    api = HfApi(endpoint=endpoint)
    try:
        info = api.model_info(name, revision=revision, timeout=ANSWER_SECONDS, files_metadata=True)
        if info.gated:
            api.auth_check(name)
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        raise _with_token(explain(error, name, revision=revision)) from error
    except Exception as error:  # any error of the HTTP library if there is no answer
        raise not_found(name, "is not in the local hub cache, and the hub can't be reached") from error
    wanted = [
        file.size or 0
        for file in info.siblings or []
        if any(fnmatch(file.rfilename, pattern) for pattern in WANTED)
        and not any(fnmatch(file.rfilename, pattern) for pattern in UNWANTED)
    ]
    return HubAccess(sum(wanted), shutil.disk_usage(_existing(Path(constants.HF_HUB_CACHE))).free)


def _with_token(failure: ModelError) -> ModelError:
    """Add to a refusal whether a token was sent."""
    from huggingface_hub import get_token

    if isinstance(failure, GatedModel):
        shown = "The token here gives no access." if get_token() else "There is no token."
        return GatedModel(f"{failure.message} {shown}", remedy=failure.remedy)
    return failure


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())
