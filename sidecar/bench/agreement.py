"""How far our engines order the candidates of real queries as plain transformers in float32 does."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec

from sidecar.bench.figures import same_order, tau
from sidecar.bench.work import Query
from sidecar.experiments.evaluate import Qrels
from sidecar.scoring import Scorer

Run = list[list[float]]


class Agreement(msgspec.Struct, frozen=True):
    """One engine against the oracle, over all queries.

    `identical` counts queries whose order is the same apart from pairs that the oracle holds closer than 1e-5.
    `tau_mean` and `tau_min` are Kendall's tau-b. `ndcg` is nDCG@10 and `ndcg_difference` that to the oracle's; None
    without judgements.
    """

    name: str
    queries: int
    identical: int
    tau_mean: float
    tau_min: float
    ndcg: float | None
    ndcg_difference: float | None


class AgreementReport(msgspec.Struct, frozen=True):
    """`{"machine": …, "work": …, "systems": […]}`, as the bench's own."""

    machine: str
    work: str
    systems: list[Agreement]
    left_out: dict[str, str] = {}


def score_all(scorer: Scorer, queries: Sequence[Query], advance: Callable[[], None]) -> Run:
    """Scores of every query's passages."""
    run = []
    for query in queries:
        run.append([score.value for score in scorer.score(query.text, query.passages)])
        advance()
    return run


def compare(name: str, run: Run, oracle: Run, queries: Sequence[Query], qrels: Qrels | None) -> Agreement:
    """Compare an engine's scores with the oracle's."""
    taus = [tau(mine, truth) for mine, truth in zip(run, oracle, strict=True)]
    mine, truth = (ndcg(one, queries, qrels) if qrels else None for one in (run, oracle))
    return Agreement(
        name=name,
        queries=len(queries),
        identical=sum(same_order(one, other) for one, other in zip(run, oracle, strict=True)),
        tau_mean=statistics.fmean(taus),
        tau_min=min(taus),
        ndcg=mine,
        ndcg_difference=None if mine is None or truth is None else mine - truth,
    )


def ndcg(run: Run, queries: Sequence[Query], qrels: Qrels) -> float:
    """nDCG@10 over the judged queries among these."""
    from sidecar.experiments.evaluate import mean_of

    scored = {
        query.qid: dict(zip(query.docids, scores, strict=True)) for query, scores in zip(queries, run, strict=True)
    }
    return mean_of("nDCG@10", scored, {qid: grades for qid, grades in qrels.items() if qid in scored})
