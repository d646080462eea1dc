"""Plans which fields of which index a model reads, and how they are requested from OpenSearch. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.opensearch.rewrite.index_fields import IndexFields, Way
from sidecar.core.documents import PassageFields

DEFAULT = PassageFields()
# The number of indexes, and of fields of one index, that a sentence names.
NAMED = 3
NAMED_FIELDS = 8


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """Title and text fields: those of the hit's index in `by_index`, or else `fields`.

    `from_fields` and `from_stored` are requested beside `_source`, by the options `fields` and `stored_fields`;
    `has_source` is False if no searched index keeps a `_source`. `choice` names fields that were found in a mapping,
    `warning` explains why hits show no text, `refusal` why nothing can be reranked. `is_mapped` is False if no index
    has any of the fields, so that a search of them finds nothing. `looked_at` are the indexes whose mapping was
    requested, or refused.
    """

    fields: PassageFields
    by_index: Mapping[str, PassageFields] = field(default_factory=dict)
    from_fields: tuple[str, ...] = ()
    from_stored: tuple[str, ...] = ()
    has_source: bool = True
    choice: str = ""
    warning: str = ""
    refusal: str = ""
    is_mapped: bool = True
    looked_at: frozenset[str] = frozenset()

    def of(self, index: str) -> PassageFields:
        """Return the fields to read from an index's hits."""
        return self.by_index.get(index, self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """All fields that are read, each once."""
        each = (self.fields, *self.by_index.values())
        return tuple(dict.fromkeys(name for fields in each for name in fields.all))


def reading(
    fields: PassageFields, found: Mapping[str, IndexFields], lacking: Sequence[str], *, all_lack: bool
) -> FieldPlan:
    """Plan how to read the text of indexes whose hits showed none; `all_lack` says that no other hit showed any.

    If the text fields are the default ones and an index has none of them, the text fields of its mapping are read,
    joined by new lines. Fields that somebody chose are never replaced.
    """
    looked = [_look(index, found[index], fields) for index in dict.fromkeys(lacking) if index in found]
    ways = [(name, one.index.way(name)) for one in looked for name in one.fields.all]
    unseen = [name for name in dict.fromkeys(lacking) if name not in found]
    warnings = [one.warning for one in looked if one.warning]
    warnings += [_unread(fields, unseen, "OpenSearch shows no mapping of it")] if unseen else []
    warning = _sentence(warnings)
    refused = all_lack and bool(looked) and not unseen and all(one.is_copied for one in looked)
    return FieldPlan(
        fields=fields,
        by_index={one.name: one.fields for one in looked if one.choice},
        from_fields=_named(ways, Way.FIELDS),
        from_stored=_named(ways, Way.STORED),
        has_source=not (all_lack and looked and not any(one.index.has_source for one in looked)),
        choice=_sentence([one.choice for one in looked if one.choice]),
        warning="" if refused else warning,
        refusal=warning if refused else "",
        is_mapped=not (all_lack and looked and all(way is Way.ABSENT for _, way in ways)),
        looked_at=frozenset(lacking),
    )


def unread_indexes(fields: PassageFields, found: Mapping[str, IndexFields]) -> list[str]:
    """List the indexes that have none of the text fields, or none whose text can be read."""
    return [name for name, index in found.items() if not any(index.way(text).is_readable for text in fields.text)]


def unknown(fields: PassageFields, lacking: Sequence[str], status: int) -> FieldPlan:
    """Return the plan for indexes whose hits show no text and whose mapping was refused."""
    may = "this account may not read the mapping (indices:admin/mappings/fields/get)"
    why = may if status in {401, 403} else f"OpenSearch answered {status} when asked for the mapping"
    return FieldPlan(fields, warning=_unread(fields, lacking, why), looked_at=frozenset(lacking))


@dataclass(frozen=True, slots=True)
class _Looked:
    """One index as its mapping shows it: the fields to read, and the messages about them."""

    name: str
    index: IndexFields
    fields: PassageFields
    choice: str = ""
    warning: str = ""
    is_copied: bool = False


def _look(name: str, index: IndexFields, fields: PassageFields) -> _Looked:
    ways = {text: index.way(text) for text in fields.text}
    others = tuple(text for text in index.text if text not in fields.all)
    readable = [text for text, way in ways.items() if way.is_readable]
    if readable:
        blank = others and all(ways[text] is Way.SOURCE for text in readable)
        said = f"no hit of {name} shows text in {_shown(readable)}; its other text fields are {_shown(others)}"
        return _Looked(name, index, fields, warning=said if blank else "")
    if fields.text == DEFAULT.text:
        if not others:
            return _Looked(name, index, fields)
        said = f"{name} has none of the default text fields; read are those of its mapping: {_shown(others)}"
        chosen = PassageFields(fields.title, others, "\n" if fields.join is None else fields.join)
        return _Looked(name, index, chosen, choice=said)
    copied = [text for text, way in ways.items() if way is Way.COPIED]
    if copied:
        sources = _shown(index.copied_from(copied[0]))
        said = f"{copied[0]} of {name} is the target of a copy_to, whose text OpenSearch keeps nowhere: name {sources}"
        return _Looked(name, index, fields, warning=said, is_copied=True)
    lost = [text for text, way in ways.items() if way is Way.LOST]
    why = f"keeps {_shown(lost)} neither in _source nor stored" if lost else f"has no field {_shown(fields.text)}"
    return _Looked(name, index, fields, warning=f"{name} {why}; its text fields are {_shown(others)}")


def _named(ways: Iterable[tuple[str, Way]], wanted: Way) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name, way in ways if way is wanted))


def _sentence(said: list[str]) -> str:
    more = f"; and so on for {len(said) - NAMED} more" if len(said) > NAMED else ""
    return "; ".join(said[:NAMED]) + more


def _unread(fields: PassageFields, indexes: Iterable[str], why: str) -> str:
    where = _listed(dict.fromkeys(indexes), NAMED)
    return f"no hit of {where} shows text in {_shown(fields.text)}, and {why}"


def _shown(names: Iterable[str]) -> str:
    return _listed(names, NAMED_FIELDS) or "none"


def _listed(names: Iterable[str], most: int) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
