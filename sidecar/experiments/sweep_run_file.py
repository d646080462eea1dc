"""Write the run of a sweep's best point, as `run` would write it from the same scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Ranked, Ranking
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.fusion_arrays import FusionArrays, ScoredList
from sidecar.experiments.run_files import run_scores, trec_lines
from sidecar.experiments.sweep_points import Point, StageTwoOrders


def write_best_run(
    path: Path,
    lists: Iterable[CandidateList],
    scored: Sequence[ScoredList],
    best: Point,
    stage_two: StageTwoOrders | None = None,
) -> None:
    """Write a TREC run of all queries; `lists` and `scored` are in the same order. Raises `InputError`.

    `stage_two` is the one that the point names.
    """
    with atomic_write(path) as stream:
        for found, one in zip(lists, scored, strict=True):
            hits = _hits(found, one, best)
            if stage_two is not None:
                hits = _moved(found.qid, hits, best.stage, stage_two)
            docids = [hit.candidate.docid for hit in hits]
            stream.writelines(trec_lines(found.qid, docids, run_scores(hits), "sweep"))


def _hits(found: CandidateList, one: ScoredList, best: Point) -> Sequence[Ranked]:
    if best.fusion is None or best.window is None:
        raise ValueError("a first stage alone is no point of a sweep")
    arrays = FusionArrays([one], best.window)
    places = np.flatnonzero(~np.isnan(one.model[: best.window])).tolist()
    fused = dict(zip(places, arrays.fused(best.fusion).tolist(), strict=True))
    [order] = arrays.orders(best.fusion, len(one.docids))
    place_of = {docid: place for place, docid in enumerate(one.docids)}
    hits = []
    for rank, docid in enumerate(order, start=1):
        place = place_of[docid]
        raw = float(one.model[place]) if place in fused else None
        hits.append(Ranked(found.candidates[place], rank, fused.get(place), raw))
    return Ranking(found.query, tuple(hits), {}).hits


def _moved(qid: str, hits: Sequence[Ranked], stage: str, stage_two: StageTwoOrders) -> Sequence[Ranked]:
    """Put the first scored hits in the order of a stage two; the fused scores stay with their places."""
    top = [hit for hit in hits[: stage_two.depth] if hit.score is not None]
    order = stage_two.orders(stage, {qid: [hit.candidate.docid for hit in top]})[qid]
    by_docid = {hit.candidate.docid: hit for hit in top}
    moved = [
        replace(by_docid[docid], rank=place.rank, score=place.score) for docid, place in zip(order, top, strict=True)
    ]
    return (*moved, *hits[len(top) :])
