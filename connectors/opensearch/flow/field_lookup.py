"""Finds out how to get the text of hits that show none: requests their mapping, and remembers it. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from connectors.opensearch.flow.caller import digest
from connectors.opensearch.flow.remembered import Remembered
from connectors.opensearch.flow.search_flow import Flow, OpenSearchRequest
from connectors.opensearch.flow.search_pipelines import LASTING
from connectors.opensearch.rewrite.field_plan import FieldPlan, reading, unknown
from connectors.opensearch.rewrite.index_fields import IndexFields, read
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected

# Seconds. A field that is mapped anew may go unnoticed for that long.
REMEMBERED = 60.0
# Of the indexes of one window, and of the bytes of one path (OpenSearch takes 4096 of a request's first line).
MOST_INDEXES = 100
MOST_BYTES = 3000


class FieldLookups:
    """Knowledge of one cluster's fields; one caller is told nothing that another one learnt."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._known: Remembered[FieldPlan] = Remembered(REMEMBERED, clock=clock)

    def of(self, key: bytes, fields: PassageFields) -> FieldLookup:
        """Return the lookup for a search; `key` is that of its index expression and caller."""
        return FieldLookup(digest(key, repr(fields)), fields, self._known)


@dataclass(frozen=True, slots=True)
class FieldLookup:
    """One search's view of what is known about the fields."""

    key: bytes
    fields: PassageFields
    remembered: Remembered[FieldPlan]

    @property
    def known(self) -> FieldPlan | None:
        """The fields that were learnt lately."""
        return self.remembered.get(self.key)

    def is_new(self, lacking: Sequence[str]) -> bool:
        """Tell whether there is an index among these of which nothing is known yet."""
        known = self.known
        looked_at = known.looked_at if known is not None else frozenset()
        return len(looked_at) < MOST_INDEXES and not looked_at.issuperset(lacking)

    def learn(self, indexes: Sequence[str], *, all_lack: bool) -> Flow[FieldPlan]:
        """Find out how to get the text of indexes whose hits show none; `all_lack` says that no other hit shows any.

        Of more than `MOST_INDEXES` only the first ones are looked up.
        """
        known = self.known
        lacking = [*dict.fromkeys([*(known.looked_at if known is not None else ()), *indexes])][:MOST_INDEXES]
        found: dict[str, IndexFields] = {}
        try:
            for path in paths(lacking):
                found |= read((yield OpenSearchRequest(b"", {}, path)))
        except EngineRejected as refused:
            made = unknown(self.fields, lacking, refused.status)
            if refused.status not in LASTING:
                return made
        else:
            made = reading(self.fields, found, lacking, all_lack=all_lack)
        self.remembered.keep(self.key, made)
        return made


def paths(indexes: Sequence[str]) -> Iterator[str]:
    """Write the paths at which OpenSearch tells the fields of these indexes; several if one would be too long."""
    names: list[str] = []
    size = 0
    for index in indexes:
        name = quote(index, safe="")
        if names and size + len(name) > MOST_BYTES:
            yield f"/{','.join(names)}/_mapping/field/*"
            names, size = [], 0
        names.append(name)
        size += len(name) + 1
    if names:
        yield f"/{','.join(names)}/_mapping/field/*"
