"""Set training queries aside, to measure what a training has gained where nobody gave development lists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from sidecar.core.candidates import Candidate
from sidecar.training.contamination import normalised
from sidecar.training.development import Development
from sidecar.training.groups import Group

# With fewer queries, none is held out: each would be a tenth of the data, and their mean would say nothing.
LEAST = 10
MOST = 200


def hold_out(
    groups: Sequence[Group], share: float, tell: Callable[[str], None]
) -> tuple[list[Group], Development | None]:
    """Return the groups to train on, and the others as lists to measure on; None if no query is held out.

    Queries are chosen by a hash of their words, so the same data are always split alike, and all groups of one query
    are on the same side. A group whose labels prefer no passage can't be measured on. `tell` is called with the number.
    """
    measurable = {normalised(group.query) for group in groups if group.positives and group.has_contrast}
    ordered = sorted(measurable, key=_hash)
    count = min(MOST, max(1, round(share * len(ordered)))) if share and len(ordered) >= LEAST else 0
    chosen = set(ordered[:count])
    if not chosen:
        return list(groups), None
    kept = [group for group in groups if normalised(group.query) not in chosen]
    tell(f"{count} of {len(ordered)} queries are held out, to measure at the end what the training has gained.")
    return kept, _lists([group for group in groups if normalised(group.query) in chosen])


def _hash(query: str) -> bytes:
    return hashlib.blake2b(query.encode("utf-8", "surrogatepass")).digest()


def _lists(groups: Sequence[Group]) -> Development:
    """Return groups as candidate lists in their given order; each group counts as a query of its own."""
    queries, qrels = [], {}
    for number, group in enumerate(groups):
        if not (group.positives and group.has_contrast):
            continue
        found = [
            Candidate(docid, rank, -float(rank), passage)
            for rank, (docid, passage) in enumerate(zip(group.docids, group.passages, strict=True), start=1)
        ]
        queries.append((str(number), group.query, found))
        qrels[str(number)] = {docid: label for docid, label in zip(group.docids, group.labels, strict=True) if label}
    return Development(queries, qrels)
