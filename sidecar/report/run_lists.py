"""Reads the runs of a report: their order, the scores before fusion, and the manifests beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.json_lines import is_object, records
from sidecar.experiments.manifest import manifest_of
from sidecar.experiments.run_order import Irregular, Order, irregular, order_of
from sidecar.experiments.run_reading import read_run


class Scored(msgspec.Struct, frozen=True):
    """A hit of a candidate list with its scores before fusion; None where the file does not have them."""

    docid: str | int
    rerank_score: float | None = None
    first_stage_rank: int | None = None
    first_stage_score: float | None = None


class _Query(msgspec.Struct):
    qid: str | int
    text: str


class _List(msgspec.Struct):
    candidates: list[Scored]
    query: _Query | str
    query_id: str | int | None = None


class Manifest(msgspec.Struct, frozen=True):
    """The parts of a run's manifest that a report shows."""

    output: str
    command: str
    settings: dict[str, Any]
    model: dict[str, Any]
    first_stage: dict[str, Any]
    versions: dict[str, str]
    queries: int
    hits: int
    passages_scored: int
    seconds: float
    passages_from_score_file: int = 0
    queries_resumed: int = 0

    @property
    def seconds_per_query(self) -> float | None:
        """Return the time of reranking a query; None if this process did not score every passage itself."""
        if self.passages_from_score_file or self.queries_resumed or not self.queries:
            return None
        return self.seconds / self.queries

    @property
    def window(self) -> int | None:
        """Return how many hits of a query were reranked."""
        found = self.settings.get("window")
        return found if isinstance(found, int) else None


@dataclass(frozen=True, slots=True)
class RunLists:
    """A run: `scores` by query id and docid in the order of the file, `order` the docids in trec_eval's order.

    `scored` has the hits of a candidate list with their scores before fusion, and `queries` the texts of its queries.
    `notes` say why a manifest beside the file is left out.
    """

    name: str
    path: Path
    scores: dict[str, dict[str, float]]
    order: Order
    irregular: Irregular
    scored: dict[str, list[Scored]] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    manifest: Manifest | None = None
    notes: tuple[str, ...] = ()


_LISTS = msgspec.json.Decoder(_List)
_MANIFESTS = msgspec.json.Decoder(Manifest)


def load_runs(paths: Sequence[Path], labels: Sequence[str] = ()) -> list[RunLists]:
    """Read runs, each with the manifest beside it, if there is one.

    `labels` are their names, if not those of the files. Raises `ConfigurationError` unless there is one label for each
    run, all different. Raises `InputError` for what `read_run` refuses, a query that is listed twice, a file that is
    given twice, and a manifest that can't be read.
    """
    twice = sorted({str(path) for path in paths if list(paths).count(path) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)} is given twice.", remedy="Name each run once.")
    if labels and (len(labels) != len(paths) or len(set(labels)) != len(labels)):
        raise ConfigurationError(
            f"{len(labels)} labels, {len(set(labels))} of them different, do not name {len(paths)} runs.",
            remedy="Give one label for each run, in their order.",
        )
    return [_load(name, path) for name, path in zip(labels or run_names(paths), paths, strict=True)]


def run_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of the files, or the whole paths if two names are the same."""
    short = [path.name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def _load(name: str, path: Path) -> RunLists:
    scores = read_run(path)
    scored: dict[str, list[Scored]] = {}
    queries: dict[str, str] = {}
    for where, found in _lists(path):
        qid = str(found.query.qid if isinstance(found.query, _Query) else found.query_id)
        if qid in queries:
            raise InputError(f"{where}: query {qid!r} was already listed above.")
        queries[qid] = found.query.text if isinstance(found.query, _Query) else found.query
        scored[qid] = found.candidates
    manifest, notes = _manifest_beside(path, scores)
    return RunLists(name, path, scores, order_of(scores), irregular(scores), scored, queries, manifest, notes)


def _lists(path: Path) -> Iterator[tuple[str, _List]]:
    """Yield the lists of a candidate file, which `read_run` has checked; nothing of a file of columns."""
    for where, line in records(path):
        if not is_object(line):
            return
        try:
            yield where, _LISTS.decode(line)
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: no candidate list: {error}.") from None


def _manifest_beside(path: Path, scores: dict[str, dict[str, float]]) -> tuple[Manifest | None, tuple[str, ...]]:
    """Return the manifest of a run; one that tells of another file is left out, and the note says so."""
    beside = manifest_of(path)
    try:
        found = _MANIFESTS.decode(beside.read_bytes())
    except FileNotFoundError:
        return None, ()
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise InputError(
            f"{beside} is no manifest of a run: {error}.", remedy="Remove it, or write the run again."
        ) from None
    hits = sum(map(len, scores.values()))
    if found.output != path.name or found.hits != hits:
        told = f"{found.hits} hits in {found.output}"
        return None, (f"The manifest beside it tells of {told}, and the file has {hits} hits. It is left out.",)
    return found, ()
