"""Measures of judged runs: recall by depth, quality by window, and the tests of all pairs of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations

import msgspec
import numpy as np

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.errors import SidecarError
from sidecar.core.fusion import Fusion, best_first
from sidecar.experiments.evaluate import Evaluation, mean_of
from sidecar.experiments.qrels import Qrels
from sidecar.report.run_lists import RunLists, Scored
from sidecar.report.statistics import PairedTest, Values, paired_tests

# Depths of a curve of recall, and windows of a curve of quality: each is about half as large again as the one before.
DEPTHS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
WINDOWS = (5, 10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)

# A candidate and the model's score of it, None if it was not scored.
_Hit = tuple[Candidate, float | None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs (`first` and `second` are their positions) and the test of `second` minus `first` in one measure."""

    first: int
    second: int
    measure: str
    test: PairedTest


@dataclass(frozen=True, slots=True)
class Window:
    """A run, had the model reranked only the first `size` hits: the mean of a measure, and the cost of a query.

    `passages` are those that the model scores for a query, on average. `seconds` are in proportion to them, from the
    run's own time; None if its manifest does not have the time of all passages.
    """

    run: int
    size: int
    value: float
    passages: float
    seconds: float | None


def query_values(evaluation: Evaluation, measure: str, qids: Sequence[str]) -> Values:
    """Return the values of a measure in the order of `qids`; a query that the run lacks counts as 0."""
    values = evaluation.by_query[measure]
    return np.array([values.get(qid, 0.0) for qid in qids])


def all_pairs(evaluations: Sequence[Evaluation], measures: Sequence[str], qids: Sequence[str]) -> list[Pair]:
    """Test every pair of runs in every measure; Holm's correction is over the pairs of one measure."""
    pairs = list(combinations(range(len(evaluations)), 2))
    found = []
    for measure in measures:
        values = [query_values(one, measure, qids) for one in evaluations]
        tests = paired_tests([values[second] - values[first] for first, second in pairs])
        found += [Pair(*pair, measure, test) for pair, test in zip(pairs, tests, strict=True)]
    return found


def recall_by_depth(run: RunLists, qrels: Qrels, level: int) -> list[tuple[int, float]]:
    """Return (depth, mean recall) over the queries that have a document of grade `level` or above, up to the run's end.

    No reranking of the first `depth` hits can find more.
    """
    relevant = {qid: {docid for docid, grade in grades.items() if grade >= level} for qid, grades in qrels.items()}
    relevant = {qid: docids for qid, docids in relevant.items() if docids}
    deepest = max(map(len, run.order.values()))
    depths = [depth for depth in DEPTHS if depth < deepest] + [min(deepest, DEPTHS[-1])]
    if not relevant:
        return []
    shares = np.zeros(len(depths))
    for qid, docids in relevant.items():
        found = [int(docid in docids) for docid in run.order.get(qid, [])[: depths[-1]]]
        hits = np.cumsum(found or [0])
        shares += np.array([hits[min(depth, len(hits)) - 1] for depth in depths]) / len(docids)
    return list(zip(depths, (shares / len(relevant)).tolist(), strict=True))


def by_window(position: int, run: RunLists, measure: str, qrels: Qrels) -> list[Window]:
    """Return quality and cost of smaller windows, from the model's scores and the fusion that the manifest names.

    A pair's score does not depend on the window, so the order of a smaller window follows from the file. Empty if the
    file or its manifest does not have what this takes, or if the run's own window does not give the run's own order.
    """
    fusion = _fusion(run.manifest.model.get("fusion")) if run.manifest else None
    window = run.manifest.window if run.manifest else None
    if fusion is None or not window or not run.scored:
        return []
    lists = {qid: _first_stage(hits) for qid, hits in run.scored.items()}
    if any(found is None for found in lists.values()):
        return []
    known = {qid: found for qid, found in lists.items() if found is not None}
    deepest = min(window, max(map(len, known.values())))
    if any(_reordered(hits, deepest, fusion) != run.order[qid] for qid, hits in known.items()):
        return []
    pace, whole = run.manifest.seconds_per_query if run.manifest else None, _scored(known, deepest)
    points = []
    for size in [one for one in WINDOWS if one < deepest] + [deepest]:
        orders = {qid: _reordered(hits, size, fusion) for qid, hits in known.items()}
        scores = {
            qid: {docid: -float(rank) for rank, docid in enumerate(order)} for qid, order in orders.items() if order
        }
        passages = _scored(known, size)
        seconds = None if pace is None or not whole else pace * passages / whole
        points.append(Window(position, size, mean_of(measure, scores, qrels), passages, seconds))
    return points


def _scored(lists: Mapping[str, Sequence[_Hit]], window: int) -> float:
    """Return how many passages of a query have a model score within a window, on average."""
    return sum(score is not None for hits in lists.values() for _, score in hits[:window]) / len(lists)


def _fusion(named: object) -> Fusion | None:
    """Return the fusion that a manifest names; None if it is one of another version."""
    if not isinstance(named, dict) or named.keys() - {one.name for one in fields(Fusion)}:
        return None
    try:
        return msgspec.convert(named, Fusion)
    except (msgspec.ValidationError, SidecarError):
        return None


def _first_stage(hits: Sequence[Scored]) -> list[_Hit] | None:
    """Return the hits in first-stage order; None if one of them lacks its rank or score there.

    None, too, if ranks are missing between them, as in a run of fewer hits than its window: a smaller window would have
    reranked hits that the file lacks.
    """
    found = []
    for hit in hits:
        if hit.first_stage_rank is None or hit.first_stage_score is None:
            return None
        candidate = Candidate(str(hit.docid), hit.first_stage_rank, hit.first_stage_score, Passage("", ""))
        found.append((candidate, hit.rerank_score))
    found.sort(key=lambda hit: hit[0].rank)
    return found if [candidate.rank for candidate, _ in found] == list(range(1, len(found) + 1)) else None


def _reordered(hits: Sequence[_Hit], window: int, fusion: Fusion) -> list[str]:
    """Return the order if only the first `window` hits were reranked: scored ones, then the rest as it was."""
    candidates = [candidate for candidate, score in hits[:window] if score is not None]
    fused = fusion.fuse([score for _, score in hits[:window] if score is not None], candidates)
    best = [candidates[place].docid for place in best_first(fused, candidates)]
    bare = [candidate.docid for candidate, score in hits[:window] if score is None]
    return best + bare + [candidate.docid for candidate, _ in hits[window:]]
