"""Tries out a search pipeline on an index: a query in the words of one of its documents. Only reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.opensearch.admin.ml_commons import MlCommons
from sidecar.core.documents import text_fields_in

_LOOKED_INTO, _WORDS, _HITS = 10, 6, 10
_NONE = "_none"


def try_out(ml: MlCommons, index: str, name: str, fields: Sequence[str]) -> Iterator[str]:
    """Yield the results, a line each. Raises an `EngineError`, OpenSearch's own if the pipeline fails."""
    hits = ml.search(index, {"size": _LOOKED_INTO}, _NONE)["hits"]["hits"]
    if not hits:
        yield f"{index} has no documents to try the pipeline out on."
        return
    sources = [hit.get("_source") or {} for hit in hits]
    words = next((found for source in sources if (found := words_in(source, fields))), "")
    if not words:
        named = list(dict.fromkeys(path for source in sources for path in text_fields_in(source)))
        yield (
            f"warning: none of {', '.join(fields)} holds text in the first documents of {index}, so all would be "
            f"scored alike; they have text in {', '.join(named[:8]) or 'no field'}: see --document-fields."
        )
        return
    body = {"query": {"multi_match": {"query": words, "fields": list(fields)}}, "size": _HITS}
    before = _ids(ml.search(index, body, _NONE))
    started = time.perf_counter()
    after = _ids(ml.search(index, {**body, "ext": {"rerank": {"query_context": {"query_text": words}}}}, name))
    took = (time.perf_counter() - started) * 1000
    moved = sum(old != new for old, new in zip(before, after, strict=False))
    yield f"tried     {index}: “{words}”, {len(after)} hits in {took:.0f} ms, {moved} of them at another rank"


def words_in(source: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Return the first words of a document's fields; the processor joins only values of the top level."""
    texts = (value for name in fields if isinstance(value := source.get(name), str))
    return " ".join(" ".join(texts).split()[:_WORDS])


def _ids(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(hit["_index"], hit["_id"]) for hit in answer["hits"]["hits"]]
