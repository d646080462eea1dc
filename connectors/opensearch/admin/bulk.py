"""Loads documents into a new index of OpenSearch, in bulk; never changes an index that exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch, TransportError
from opensearchpy.client.indices import IndicesClient
from opensearchpy.helpers import streaming_bulk

from connectors.opensearch.transport import engine_error, for_writing
from sidecar.core.corpus import Document
from sidecar.core.errors import ConfigurationError

CHUNK = 500
CHUNK_BYTES = 10 * 1024 * 1024
# A node that is too busy rejects documents with 429; nothing of them was written, so they may be sent again.
RETRIES_WHEN_BUSY = 5
MAX_ID_BYTES = 512
MAX_REASONS = 100


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Options of a new index. One shard, so that scores of different documents can be compared.

    `analyzer` is OpenSearch's name for one: `english` stems and drops stop words, much as Anserini's default does. `k1`
    and `b` are BM25's, None for OpenSearch's own 1.2 and 0.75; Anserini's defaults are 0.9 and 0.4. `overwrite` deletes
    an index of that name first.
    """

    analyzer: str = "english"
    k1: float | None = None
    b: float | None = None
    overwrite: bool = False

    def body(self) -> dict[str, Any]:
        """Write the settings and mappings of the index."""
        text = {"type": "text", "analyzer": self.analyzer}
        index: dict[str, Any] = {"number_of_shards": 1, "number_of_replicas": 0}
        bm25 = {name: value for name, value in (("k1", self.k1), ("b", self.b)) if value is not None}
        if bm25:
            index["similarity"] = {"default": {"type": "BM25", **bm25}}
        return {"settings": {"index": index}, "mappings": {"properties": {"title": text, "text": text}}}


@dataclass(frozen=True, slots=True)
class BulkReport:
    """The number of documents indexed and rejected; docid and reason of the first `MAX_REASONS` rejected ones."""

    indexed: int
    rejected: int
    reasons: tuple[tuple[str, str], ...]


def load(
    client: OpenSearch,
    index: str,
    documents: Iterable[Document],
    *,
    options: IndexOptions | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> BulkReport:
    """Create the index, send every document once, and make them searchable.

    `progress` gets the number of documents sent so far, after each. A document that OpenSearch rejects is reported and
    the rest are still sent; so is the second of two with the same docid. Raises `ConfigurationError` if the index
    exists and is not to be overwritten, or an `EngineError`.
    """
    writer = for_writing(client)
    indices = IndicesClient(writer)
    try:
        _create(indices, index, options or IndexOptions())
        loaded = _send(writer, index, documents, progress)
        indices.refresh(index=index)
    except TransportError as error:
        raise engine_error(client, error) from error
    return loaded


def _create(indices: IndicesClient, index: str, options: IndexOptions) -> None:
    if indices.exists(index=index):
        if not options.overwrite:
            raise ConfigurationError(
                f"the index {index!r} is there already.",
                remedy="Choose another name, or ask to overwrite it (overwrite=True, --overwrite).",
            )
        indices.delete(index=index)
    indices.create(index=index, body=options.body())


def _send(writer: OpenSearch, index: str, documents: Iterable[Document], progress: Callable[[int], None]) -> BulkReport:
    count = _Count()
    answers = streaming_bulk(
        writer,
        _actions(index, documents, count),
        chunk_size=CHUNK,
        max_chunk_bytes=CHUNK_BYTES,
        max_retries=RETRIES_WHEN_BUSY,
        raise_on_error=False,
    )
    for fine, answer in answers:
        if fine:
            count.indexed += 1
        else:
            count.reject(*_reason(answer))
        progress(count.indexed + count.rejected)
    return BulkReport(count.indexed, count.rejected, tuple(count.reasons))


class _Count:
    def __init__(self) -> None:
        self.indexed = self.rejected = 0
        self.reasons: list[tuple[str, str]] = []

    def reject(self, docid: str, reason: str) -> None:
        self.rejected += 1
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append((docid, reason))


def _actions(index: str, documents: Iterable[Document], count: _Count) -> Iterator[dict[str, Any]]:
    for document in documents:
        size = len(document.docid.encode("utf-8", "surrogatepass"))
        # OpenSearch would refuse the whole chunk for one such id.
        if not 0 < size <= MAX_ID_BYTES:
            count.reject(document.docid, f"the id has {size} bytes, not 1 to {MAX_ID_BYTES}")
            continue
        source = {"title": document.title, "text": document.text}
        yield {"_op_type": "create", "_index": index, "_id": document.docid, "_source": source}


def _reason(answer: dict[str, Any]) -> tuple[str, str]:
    (outcome,) = answer.values()
    error = outcome.get("error")
    reason = error.get("reason") if isinstance(error, dict) else error
    return str(outcome.get("_id")), str(reason)
