"""The parts a command joins, built from the settings: reranker, connector, client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sidecar.cli.options import BM25, FIELDS, FUSION, MODEL
from sidecar.experiments.journal import Journal
from sidecar.reranker import Reranker, load_reranker
from sidecar.scoring.chunks import Chunking
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
        quantization=settings.quantization,
        chunking=_chunking(settings),
        **({} if remember else {"cache_size": 0}),
    )


def _chunking(settings: Settings) -> Chunking | None:
    if settings.long_passages == "cut":
        return None
    return Chunking(settings.chunk_tokens, settings.chunk_overlap, settings.max_chunks)


@contextmanager
def progress(unit: str) -> Iterator[Progress]:
    """A progress bar on stderr, so that results on stdout stay clean; it vanishes when done, and logs stay without."""
    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    if not console.is_terminal:
        yield bar  # counts, but shows nothing
        return
    with bar:
        yield bar


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


def identity(settings: Settings, source: Path, output_format: str, **more: object) -> dict[str, str]:
    """Everything that decides a run's result, for its journal: a run is only gone on with if all of it is the same."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    decisive = (*MODEL, *FUSION, *BM25, *FIELDS, "window")
    chosen = {name: str(getattr(settings, name)) for name in decisive}
    return {"input": digest, "format": output_format, **chosen, **{name: str(value) for name, value in more.items()}}


def build_opensearch_client(settings: Settings) -> OpenSearch:
    """Make the client these settings describe; nothing is sent yet.

    Raises `ConfigurationError` for a wrong URL, settings that contradict each other, and certificates without use.
    """
    from connectors.opensearch.access import Access
    from connectors.opensearch.client import connect

    access = Access(
        user=settings.opensearch_user,
        password=_revealed(settings.opensearch_password),
        token=_revealed(settings.opensearch_token),
        aws_region=settings.opensearch_aws_region,
        aws_service=settings.opensearch_aws_service,
        client_cert=_name(settings.opensearch_client_cert),
        client_key=_name(settings.opensearch_client_key),
        ca_certs=_name(settings.opensearch_ca_certs),
        verify_certs=settings.opensearch_verify_certs,
    )
    return connect(
        settings.opensearch_url, access, timeout=settings.opensearch_timeout, retries=settings.opensearch_retries
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)
