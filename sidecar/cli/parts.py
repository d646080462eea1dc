"""The parts a command joins, built from the settings: reranker, connector, client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from sidecar.cli.options import FIELDS, FUSION, MODEL
from sidecar.errors import InputError
from sidecar.experiments.journal import Journal
from sidecar.reranker import Reranker, load_reranker
from sidecar.settings import Settings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch


def build_reranker(settings: Settings, *, remember: bool = True) -> Reranker:
    """Load the model and join it with the fusion. Raises `ModelError`, or `FusionError` before anything is loaded.

    Without `remember` a score never depends on what was scored before, so that a resumed run gives the same bytes.
    """
    return load_reranker(
        settings.model,
        fusion=settings.as_fusion(),
        base_model=settings.base_model,
        revision=settings.revision,
        base_revision=settings.base_revision,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
        max_length=settings.max_length,
        compile=settings.compile,
        **({} if remember else {"cache_size": 0}),
    )


@contextmanager
def kept(journal: Journal) -> Iterator[Journal]:
    """Open a journal; whatever ends the work early, the person is told that nothing of it is lost."""
    try:
        with journal:
            yield journal
    except BaseException:
        if journal.done and journal.path.exists():
            Console(stderr=True).print(f"{len(journal.done)} finished queries are kept: go on with --resume.")
        raise


def identity(
    settings: Settings, sources: Mapping[str, Path], output_format: str, names: Sequence[str], **more: object
) -> dict[str, str]:
    """Everything that decides a run's result, for its journal: a run is only gone on with if all of it is the same.

    Of each source the content counts, not its name; `names` are the settings that matter beside model and fusion.
    """
    chosen = {name: str(getattr(settings, name)) for name in (*MODEL, *FUSION, *FIELDS, "window", *names)}
    digests = {name: _digest(path) for name, path in sources.items()}
    return {**digests, "format": output_format, **chosen, **{name: str(value) for name, value in more.items()}}


def describe_model(settings: Settings) -> dict[str, str]:
    """The model for a manifest: its directory and, of a checkpoint from the hub, the commit; then device and dtype."""
    from sidecar.scoring.checkpoint import Placement
    from sidecar.scoring.loading import locate

    directory = locate(settings.model, revision=settings.revision, offline=True).directory
    # The hub's cache lays a checkpoint out as snapshots/COMMIT.
    commit = {"commit": directory.name} if directory.parent.name == "snapshots" else {}
    placement = Placement(settings.device, settings.dtype).describe()
    return {"model": settings.model, "directory": str(directory), **commit, "placement": placement}


def say(message: str) -> None:
    """Tell the person something on stderr, in one line however long."""
    Console(stderr=True, highlight=False, markup=False).print(message, soft_wrap=True)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}.") from None


def build_opensearch_client(settings: Settings) -> OpenSearch:
    """Make the client these settings describe; nothing is sent yet. Raises `ConfigurationError` for a wrong URL."""
    from connectors.opensearch.client import connect

    password = settings.opensearch_password
    return connect(
        settings.opensearch_url,
        user=settings.opensearch_user,
        password=password.get_secret_value() if password else None,
        timeout=settings.opensearch_timeout,
        ca_certs=str(settings.opensearch_ca_certs) if settings.opensearch_ca_certs else None,
    )
