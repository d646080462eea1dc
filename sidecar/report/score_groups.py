"""The scores of a run's hits by what the judgements say of them."""

from __future__ import annotations

import numpy as np

from sidecar.experiments.qrels import Qrels
from sidecar.report import figures
from sidecar.report.figures import Group
from sidecar.report.run_lists import RunLists
from sidecar.report.svg import Figure


def score_figure(position: int, run: RunLists, qrels: Qrels | None, level: int) -> Figure | None:
    """Draw the distribution of a run's scores: the model's own if the file has them, else the run's.

    With judgements there is a line for the hits of grade `level` or above, one for lower grades and one for hits
    without a grade; only judged queries are drawn. None if no hit is left.
    """
    by_model = {
        qid: {str(hit.docid): hit.rerank_score for hit in hits if hit.rerank_score is not None}
        for qid, hits in run.scored.items()
    }
    own = any(by_model.values())
    scores = by_model if own else run.scores
    what = "model scores" if own else "scores"
    if qrels is None:
        groups = [Group("all hits", np.array([score for hits in scores.values() for score in hits.values()]))]
        return _drawn(position, run.name, what, groups)
    kinds: dict[str, list[float]] = {f"grade ≥ {level}": [], f"grade < {level}": [], "not judged": []}
    relevant, other, unjudged = kinds.values()
    for qid, hits in scores.items():
        if qid in qrels:
            for docid, score in hits.items():
                grade = qrels[qid].get(docid)
                (unjudged if grade is None else relevant if grade >= level else other).append(score)
    return _drawn(position, run.name, what, [Group(name, np.array(found)) for name, found in kinds.items()])


def _drawn(position: int, name: str, what: str, groups: list[Group]) -> Figure | None:
    known = [group for group in groups if len(group.scores)]
    return figures.scores(position, name, what, known) if known else None
