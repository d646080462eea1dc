"""Read the shadow log of `sidecar serve` as two rankings of each search: the first stage's and the reranked one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sidecar.core.errors import InputError
from sidecar.core.json_lines import is_object, parse, records


class _Record(msgspec.Struct):
    qid: str
    index: str
    rule: str
    status: str
    reason: str = ""
    first_stage: tuple[str, ...] = ()
    reranked: tuple[str, ...] = ()
    query: str | None = None


_RECORDS = msgspec.json.Decoder(_Record)
_REMEDY = "Give the file that SIDECAR_SHADOW_FILE names."


@dataclass(frozen=True, slots=True)
class ShadowLists:
    """The tops of both rankings by search, the texts of the queries where the log has them, and what was left out.

    A search is named by its index, its rule and the query's id in the log; of several records of one search the last
    counts. `repeated` counts the others, `not_reranked` the searches without a ranking by their reason.
    """

    first_stage: dict[str, list[str]] = field(default_factory=dict)
    reranked: dict[str, list[str]] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    not_reranked: Counter[str] = field(default_factory=Counter)


def read_shadow_log(path: Path) -> ShadowLists:
    """Read a shadow log. Raises `InputError` with file and line for another kind of line, and if nothing is in it."""
    first_stage: dict[str, list[str]] = {}
    reranked: dict[str, list[str]] = {}
    queries: dict[str, str] = {}
    repeated, without = 0, Counter[str]()
    for where, line in records(path):
        if not is_object(line):
            raise InputError(f"{where}: no record of a shadow log.", remedy=_REMEDY)
        found = parse(line, where, _RECORDS, what="no record of a shadow log", remedy=_REMEDY)
        if not found.reranked:
            without[found.reason or found.status] += 1
            continue
        name = f"{found.index}/{found.rule}/{found.qid}"
        repeated += name in reranked
        first_stage[name], reranked[name] = list(found.first_stage), list(found.reranked)
        if found.query is not None:
            queries[name] = found.query
    if not reranked:
        told = f"; {sum(without.values())} searches were not reranked" if without else ""
        raise InputError(f"{path} holds no reranked search{told}.", remedy=_REMEDY)
    return ShadowLists(first_stage, reranked, queries, repeated, without)
