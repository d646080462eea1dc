"""A document in a request: a string, or an object that holds its text. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields, passage_of_record, text_fields_in
from sidecar.serving.rerank_api.problem import Fault, Problem

Document = str | dict[str, Any]

# The vendors' fields for a document's text, used besides those of the settings.
_VENDORS = PassageFields(title=(), text=("text", "text.text", "text.value", "content", "content.text", "content.value"))
_PARTS = ("text", "content")
_NAMED = 10


def passages_of(
    documents: Sequence[Document],
    fields: PassageFields,
    rank_fields: Sequence[str] | None = None,
    *,
    at: str = "documents.{}",
) -> list[Passage]:
    """Read each document; `at` is the pattern of their position in the request.

    Raises `Problem` for an object without readable text.
    """
    return [_passage(at.format(place), document, fields, rank_fields) for place, document in enumerate(documents)]


def shown(document: Document) -> dict[str, Any]:
    """Return a document as a result repeats it: an object unchanged, a string as `{"text": …}`."""
    return {"text": document} if isinstance(document, str) else document


def text_shown(document: Document, passage: Passage) -> str:
    """Return a document for a result that can only repeat text: its own text, or the passage read from it."""
    own = document if isinstance(document, str) else document.get("text")
    if isinstance(own, str) and own.strip():
        return own
    return "\n".join(part for part in (passage.title, passage.text) if part)


def _passage(place: str, document: Document, fields: PassageFields, rank_fields: Sequence[str] | None) -> Passage:
    if isinstance(document, str):
        return Passage("", document)
    if rank_fields:
        names: Sequence[str] = rank_fields
        passage = _ranked_by(document, rank_fields)
    else:
        document = _with_parts_joined(place, document)
        names = list(dict.fromkeys((*fields.all, *_PARTS)))
        passage = passage_of_record(document, fields)
        if not passage.text:
            passage = Passage(passage.title, passage_of_record(document, _VENDORS).text)
    if not _is_read(passage, [document.get(name) for name in names]):
        where = ", ".join(names[:_NAMED])
        others = ", ".join(text_fields_in(document)[:_NAMED])
        hint = f"; it has text in {others}: name it in rank_fields, or SIDECAR_TEXT_FIELDS" if others else ""
        raise Problem(Fault.INVALID, f"{place}: no text in {where}{hint}", param=place)
    return passage


def _is_read(passage: Passage, values: Sequence[Any]) -> bool:
    """True if a passage holds all that there was to read: so for a blank text, not for an object without text."""
    if passage.text.strip():
        return True
    if any(isinstance(value, Mapping | list | bool) for value in values):
        return False
    return not passage.is_empty or any(isinstance(value, str) for value in values)


def _with_parts_joined(place: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Join a text that is given as a list of content parts, as in messages of vLLM and OpenAI."""
    joined = {name: _joined(place, name, document[name]) for name in _PARTS if _are_parts(document.get(name))}
    return {**document, **joined}


def _are_parts(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(part, dict) and "type" in part for part in value)


def _joined(place: str, name: str, parts: Sequence[Any]) -> str:
    """Join the parts. Raises `Problem` for a part that is not text: it would be left out silently."""
    texts = []
    for number, part in enumerate(parts):
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            where = f"{place}.{name}.{number}"
            raise Problem(Fault.INVALID, f"{where}: only parts of text are read", param=where)
        texts.append(text)
    return "\n".join(texts)


def _ranked_by(document: Mapping[str, Any], rank_fields: Sequence[str]) -> Passage:
    """Read Cohere's `rank_fields`: the field `title` is the title, the others are the text, a line each."""
    texts = {name: _as_text(document[name]) for name in rank_fields if document.get(name) is not None}
    title = texts.pop("title", "")
    return Passage(title, "\n".join(texts.values()))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
