"""RM3: expand a query by words of its first hits, before BM25 ranks the documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sidecar.core.documents import json_object
from sidecar.core.errors import ConfigurationError

# For a stored document with this field, the Anserini collection that reads it; the first match counts.
_COLLECTIONS = {
    "pid": "MsMarcoV2PassageCollection",
    "docid": "MsMarcoV2DocCollection",
    "_id": "BeirFlatCollection",
    "contents": "JsonCollection",
}
# An empty document has no term vectors even if the index stores them.
_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Rm3:
    """The parameters of RM3 as in Anserini: Abdul-Jaleel et al., "UMass at TREC 2004: Novelty and HARD".

    The `fb_terms` words of highest weight in the first `fb_docs` hits are added to the query, which keeps
    `original_query_weight` of the whole.
    """

    fb_terms: int = 10
    fb_docs: int = 10
    original_query_weight: float = 0.5

    def __post_init__(self) -> None:
        if not (self.fb_terms >= 1 and self.fb_docs >= 1 and 0 <= self.original_query_weight <= 1):
            raise ConfigurationError(
                f"RM3 with {self.fb_terms} terms of {self.fb_docs} documents and a weight of "
                f"{self.original_query_weight} for the query.",
                remedy="Take at least one term of one document; the weight must be in [0, 1].",
            )


def widen(searcher: Any, rm3: Rm3) -> None:
    """Make one of Anserini's SimpleSearchers search with RM3.

    The words come from the term vectors of the index or, if it has none, from the stored documents, which is slower.
    Raises ConfigurationError if it has neither.
    """
    reader = searcher.reader
    looked_at = range(min(reader.maxDoc(), _LOOKED_AT))
    vectors, stored = reader.termVectors(), reader.storedFields()
    collection = None
    if looked_at and all(vectors.get(at) is None for at in looked_at):
        collection = _collection(stored.document(0).get("raw"))
    searcher.set_rm3(collection, rm3.fb_terms, rm3.fb_docs, float(rm3.original_query_weight), False, True)


def _collection(raw: str | None) -> str:
    record = (json_object(raw) if raw is not None else None) or {}
    for field, collection in _COLLECTIONS.items():
        if field in record:
            return collection
    raise ConfigurationError(
        "RM3 needs term vectors, or documents it can read, and this index stores neither.",
        remedy="Search without RM3, or build the index with `sidecar index` (Anserini's option is -storeDocvectors).",
    )
