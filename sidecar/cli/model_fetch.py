"""Fetches a model from the hub before it is loaded, so that the hub's own bars can show the progress."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from sidecar.cli.progress import working
from sidecar.cli.terminal import is_terminal, say
from sidecar.core.errors import ModelNotFound
from sidecar.core.model_spec import ModelSpec


def fetch_missing(spec: ModelSpec) -> None:
    """Fetch a model, and an adapter's base, if they are not on this machine. Raises a `ModelError`.

    A remote one is left where it is.
    """
    if spec.is_remote:
        return
    with working(f"looking for the model {spec.model}"):
        from sidecar.scoring.checkpoints.lora_adapter import is_adapter
        from sidecar.scoring.loading import Located, locate, locate_base

    def find(name: str, locating: Callable[[bool], Located]) -> Located:
        try:
            with working(f"looking for {name}"):
                return locating(True)
        except ModelNotFound:
            with _asking_hub(name):
                return locating(False)

    located = find(
        f"the model {spec.model}", lambda offline: locate(spec.model, revision=spec.revision, offline=offline)
    )
    if is_adapter(located.directory):
        find(
            f"the base model of {spec.model}",
            lambda offline: locate_base(located, spec.base_model, revision=spec.base_revision, offline=offline),
        )


def _asking_hub(name: str) -> AbstractContextManager[None]:
    """Say what the hub is asked for. On a terminal the hub shows its own bars; elsewhere they are off."""
    doing = f"asking the hub for {name}"
    if not is_terminal(sys.stderr):
        return working(doing)
    say(f"{doing} …")
    return nullcontext()
