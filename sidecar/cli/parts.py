"""The parts a command joins, built from the settings: reranker, connector, client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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

from sidecar.cli.options import BM25, FIELDS, FUSION, MODEL, RM3
from sidecar.errors import ConfigurationError
from sidecar.experiments.journal import Journal
from sidecar.reranker import Reranker, load_reranker
from sidecar.settings import Settings

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from connectors.pyserini import LuceneIndex, PyseriniServer


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
    decisive = (*MODEL, *FUSION, *BM25, *RM3, *FIELDS, "window")
    chosen = {name: str(getattr(settings, name)) for name in decisive}
    return {"input": digest, "format": output_format, **chosen, **{name: str(value) for name, value in more.items()}}


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


def open_lucene(index: str, settings: Settings) -> LuceneIndex | PyseriniServer:
    """Open a local Lucene index, or one behind the Pyserini server of these settings. Raises what the two do."""
    from connectors.pyserini import LuceneIndex, PyseriniServer, Rm3

    if settings.pyserini_url is None:
        rm3 = Rm3(settings.rm3_fb_terms, settings.rm3_fb_docs, settings.rm3_original_query_weight)
        return LuceneIndex(index, k1=settings.k1, b=settings.b, rm3=rm3 if settings.rm3 else None)
    if settings.rm3:
        raise ConfigurationError("A Pyserini server has no RM3.", remedy="Search without --rm3, or a local index.")
    # Unless BM25 was asked for by number the server has its say: not every index of its is one for BM25.
    chosen = not settings.model_fields_set.isdisjoint({"k1", "b"})
    key = settings.pyserini_api_key
    return PyseriniServer(
        settings.pyserini_url,
        index,
        bm25=(settings.k1, settings.b) if chosen else None,
        api_key=key.get_secret_value() if key else None,
        timeout=settings.pyserini_timeout,
    )
