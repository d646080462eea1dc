"""The error for a package that is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.core.errors import ModelError


@contextmanager
def missing_package(needed_by: str, *, otherwise: str) -> Iterator[None]:
    """Turn the failure to import a package into a ModelError: `needed_by` needs it, `otherwise` is what does not."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{error.name} is not installed, which {needed_by} on this machine needs.",
            remedy=f"Install rerank-sidecar with its dependencies, or {otherwise}.",
        ) from error
