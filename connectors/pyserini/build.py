"""Build a Lucene index from documents: it appears complete, or not at all.

Documents are stored in BEIR's shape, as in Pyserini's own prebuilt `beir-v1.0.0-*.flat` indexes: `raw` holds
`{"_id", "title", "text"}` and the searched field `contents` is the title, a line break and the text, so the title
counts in BM25 and neither is stored twice. Positions and term vectors are kept, so phrases and RM3 work on it, too.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.pyserini.index import is_index
from connectors.pyserini.jvm import java_failure, start_jvm
from sidecar.core.corpus import Document, unique
from sidecar.core.errors import ConfigurationError, EngineError, InputError

# Anserini's writer keeps up to 2 GB in the heap before it flushes; a small machine's heap is smaller than that.
_FLUSH_CHARACTERS = 256 * 2**20

_BATCH_DOCUMENTS = 1000
_BATCH_CHARACTERS = 4 * 2**20


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Counts of documents: `empty` ones hold neither title nor text and are left out, as Anserini does."""

    indexed: int
    empty: int
    seconds: float


def build_index(
    documents: Iterable[Document],
    directory: str | Path,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BuildReport:
    """Index `documents` into `directory`, with Anserini's default English analysis (Porter stemmer, its stop words).

    `threads` are Java's (default: one for each CPU). `progress` is called with the number of documents read so far.
    The index is built beside `directory` and renamed once it is complete. Raises ConfigurationError if `directory`
    is not empty (with `overwrite`: if it holds anything but a Lucene index), InputError for two documents with one
    docid or one that Lucene refuses, EngineError if Lucene can't write.
    """
    started = time.perf_counter()
    target = Path(directory)
    _check_target(target, overwrite)
    autoclass = start_jvm()
    with _beside(target, overwrite) as building:
        writer = _Writer(autoclass, building, threads or os.cpu_count() or 1)
        read = empty = 0
        with writer:
            for batch in _batches(unique(documents)):
                kept = [document for document in batch if not document.is_empty]
                writer.add(kept)
                read += len(batch)
                empty += len(batch) - len(kept)
                if progress is not None:
                    progress(read)
        _check_complete(autoclass, building, read - empty)
    return BuildReport(read - empty, empty, time.perf_counter() - started)


class _Writer:
    """Anserini's SimpleIndexer over a directory, closed and opened again whenever its heap holds much text."""

    def __init__(
        self, autoclass: Callable[[str], Any], directory: Path, threads: int, flush_characters: int = _FLUSH_CHARACTERS
    ) -> None:
        self._new_indexer = autoclass("io.anserini.index.SimpleIndexer")
        self._new_document = autoclass("io.anserini.collection.BeirFlatCollection$Document")
        self._json = autoclass("com.fasterxml.jackson.databind.ObjectMapper")()
        self._arguments = ["-index", str(directory.absolute()), "-threads", str(threads)]
        self._arguments += ["-input", "", "-collection", "JsonCollection"]  # both are required but not read
        self._arguments += ["-storeRaw", "-storePositions", "-storeDocvectors"]
        self._flush_characters = flush_characters
        self._waiting = 0
        self._indexer = self._new_indexer(self._arguments)

    def add(self, documents: list[Document]) -> None:
        """Index one batch of documents, none of them empty."""
        if not documents:
            return
        # ASCII escapes carry every character, lone surrogates included, safely from Python's strings to Java's.
        text = json.dumps([{"_id": one.docid, "title": one.title, "text": one.text} for one in documents])
        with _refusals(documents):
            if self._waiting >= self._flush_characters:
                self._indexer.close()
                self._indexer = self._new_indexer([*self._arguments, "-append"])
                self._waiting = 0
            self._waiting += len(text)
            nodes = self._json.readTree(text)
            batch = [self._new_document(nodes.get(at)) for at in range(len(documents))]
            added = self._indexer.addJsonDocuments(batch)
        if added != len(documents):
            self._find_refused(documents, batch)
            raise EngineError(f"Lucene took {added} of {len(documents)} documents{_between(documents)}.")

    def _find_refused(self, documents: list[Document], batch: list[Any]) -> None:
        """Raise for the first document that Lucene refuses: a batch gives only a count, a single document the reason.

        The index is discarded afterwards, so it does not matter that the others are added twice.
        """
        for document, java_document in zip(documents, batch, strict=True):
            with _refusals([document]):
                if not self._indexer.addJsonDocument(java_document):
                    raise InputError(f"Lucene refused a document{_between([document])}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write the contents of the heap. A failed write is found when the documents on disk are counted."""
        from jnius import JavaException

        with suppress(JavaException):
            self._indexer.close()


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigurationError(f"'{target}' is a file.", remedy="Name a directory for the index.")
    if not any(target.iterdir()) or (overwrite and is_index(target)):
        return
    remedy = "Name another directory, or remove it yourself."
    if is_index(target):
        remedy = "Name another directory, or ask to overwrite it (overwrite=True, --overwrite)."
    raise ConfigurationError(f"The directory '{target}' is not empty.", remedy=remedy)


@contextmanager
def _beside(target: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a new directory beside `target`, which becomes `target` at the end and is removed on any error."""
    building = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    try:
        with _writing(target):
            building.mkdir(parents=True)
        yield building
        _check_target(target, overwrite)
        with _writing(target):
            _replace(target, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"The index '{target}' can't be written: {error}.", remedy="Name a directory where you may write."
        ) from error


def _replace(target: Path, building: Path) -> None:
    """Replace `target` by `building`; an existing index is removed only once the new one is in place."""
    former = None
    if target.exists():
        former = building.with_name(f"{building.name}.former")
        target.rename(former)
    try:
        building.rename(target)
    except OSError:
        if former is not None:
            former.rename(target)
        raise
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.title) + len(document.text)
        if len(batch) == _BATCH_DOCUMENTS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


@contextmanager
def _refusals(documents: list[Document]) -> Iterator[None]:
    from jnius import JavaException

    try:
        yield
    except JavaException as error:
        failure = java_failure(error)
        # If memory or disk ran out Lucene closes its writer, and then reports only AlreadyClosedException.
        if any(name in failure for name in ("OutOfMemoryError", "AlreadyClosedException", "IOException")):
            raise EngineError(
                f"Lucene stopped writing{_between(documents)}: {failure}",
                remedy="Is the disk full? If memory ran out, set the environment variable JAVA_TOOL_OPTIONS=-Xmx4g.",
            ) from error
        raise InputError(f"Lucene refused a document{_between(documents)}: {failure}") from error


def _between(documents: list[Document]) -> str:
    first, last = (one.source or f"docid '{one.docid}'" for one in (documents[0], documents[-1]))
    return f", {first}" if len(documents) == 1 else f" between {first} and {last}"


def _check_complete(autoclass: Callable[[str], Any], directory: Path, expected: int) -> None:
    """Count the documents on disk: Anserini logs a failed write and continues."""
    from jnius import JavaException

    found = 0
    with suppress(JavaException):
        searcher = autoclass("io.anserini.search.SimpleSearcher")(str(directory.absolute()))
        found = searcher.get_total_num_docs()
        searcher.close()
    if found != expected:
        raise EngineError(
            f"Lucene wrote {found} of {expected} documents.", remedy="Is the disk full? The index was discarded."
        )
