"""Read documents as Python callers give them: texts, (title, text) pairs, records, or passages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.documents import PassageFields, passage_of_record, text_fields_in, well_formed
from sidecar.core.errors import InputError

GivenDocument: TypeAlias = str | tuple[str | None, str] | list[str] | Mapping[str, Any] | Passage

_SHAPES = "Give a text, a (title, text) pair or a dictionary with the text under one of the text fields."
_SHOWN = 60


def read_query(query: str) -> str:
    """Return the query as a model reads it. Raises `InputError` if it is not a text, or blank."""
    if not isinstance(query, str):
        raise InputError(
            f"the query is {_described(query)}, not a text.", remedy="The query comes before the documents."
        )
    if not query.strip():
        raise InputError("the query is empty.", remedy="Give the words to search for.")
    return well_formed(query)


def read_documents(
    documents: Iterable[GivenDocument], fields: PassageFields
) -> tuple[list[GivenDocument], list[Passage]]:
    """Return the documents as a list, and the passage that a model reads of each.

    An empty text is a passage like any other. A record holds its text in one of the `fields`. Raises `InputError` for
    a document without text, with its position and its value.
    """
    # Texts and dictionaries are iterable, too: their letters and keys would be scored as documents.
    if isinstance(documents, str | bytes | Mapping | AbstractSet) or not isinstance(documents, Iterable):
        raise InputError(f"the documents are {_described(documents)}, not a list of them.", remedy=_SHAPES)
    given = list(documents)
    return given, [_passage(document, f"documents[{index}]", fields) for index, document in enumerate(given)]


def _passage(document: Any, name: str, fields: PassageFields) -> Passage:
    if isinstance(document, str):
        return Passage("", well_formed(document))
    if isinstance(document, Passage):
        return document
    if isinstance(document, Mapping):
        return _of_record(document, name, fields)
    if isinstance(document, tuple | list) and len(document) == 2:
        title, text = document
        if isinstance(text, str) and (title is None or isinstance(title, str)):
            return Passage(well_formed(title or ""), well_formed(text))
    if isinstance(document, Candidate):
        raise InputError(f"{name} is a Candidate.", remedy="Use rank_candidates for candidates.")
    raise InputError(f"{name} is {_described(document)}, which holds no text.", remedy=_SHAPES)


def _of_record(record: Mapping[str, Any], name: str, fields: PassageFields) -> Passage:
    passage = passage_of_record(record, fields)
    if not set(passage.fields).isdisjoint(fields.text):
        return passage
    values = [value for field in fields.text if (value := record.get(field)) is not None]
    if values and all(isinstance(value, str) for value in values):
        return passage  # the caller gave a blank text
    # If a record's text is not found, its title must not be scored instead.
    found = [field for field in text_fields_in(record) if field not in fields.title]
    raise InputError(
        f"{name} has no text in {', '.join(fields.text)}.",
        remedy=f"It has text in {', '.join(found)}: name the fields by `fields=PassageFields(text=(…,))`."
        if found
        else f"It is {_described(record)}.",
    )


def _described(value: object) -> str:
    shown = repr(value)
    return f"a {type(value).__name__}: {shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + '…'}"
