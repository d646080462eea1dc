"""A document as it stands in a request: a string, or an object that holds its text. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.candidates import Passage
from sidecar.documents import PassageFields, passage_of_record
from sidecar.serving.rerank_api.problem import Fault, Problem

Document = str | dict[str, Any]


def passages_of(
    documents: Sequence[Document], fields: PassageFields, rank_fields: Sequence[str] | None = None
) -> list[Passage]:
    """Read each document. Raises `Problem` for an object that has none of the fields."""
    return [_passage(place, document, fields, rank_fields) for place, document in enumerate(documents)]


def shown(document: Document) -> dict[str, Any]:
    """A document as a result repeats it: an object as it came, a string as `{"text": …}`."""
    return {"text": document} if isinstance(document, str) else document


def _passage(place: int, document: Document, fields: PassageFields, rank_fields: Sequence[str] | None) -> Passage:
    if isinstance(document, str):
        return Passage("", document)
    known = rank_fields or fields.all
    if not any(document.get(name) is not None for name in known):
        names = ", ".join(list(known)[:10])
        raise Problem(Fault.INVALID, f"documents.{place}: an object without {names}", param=f"documents.{place}")
    return _ranked_by(document, rank_fields) if rank_fields else passage_of_record(document, fields)


def _ranked_by(document: Mapping[str, Any], rank_fields: Sequence[str]) -> Passage:
    """Cohere's `rank_fields`: the field `title` is the title, the others are the text, a line each."""
    texts = {name: _as_text(document[name]) for name in rank_fields if document.get(name) is not None}
    title = texts.pop("title", "")
    return Passage(title, "\n".join(texts.values()))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
