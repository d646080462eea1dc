"""Measure how closely our engines' order of real candidates matches that of plain transformers in float32."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from sidecar.bench.figures import CLOSER, same_order, tau
from sidecar.bench.options import Options
from sidecar.bench.ours import Mode, modes
from sidecar.bench.subject import prepare
from sidecar.bench.work import Query, queries_for
from sidecar.core.errors import ConfigurationError
from sidecar.experiments.evaluate import mean_of
from sidecar.experiments.qrels import Qrels
from sidecar.scoring import Scorer
from sidecar.scoring.loading import load_scorer

MEASURE = "nDCG@10"
ORACLE = "transformers"
Run = list[list[float]]


class Agreement(msgspec.Struct, frozen=True):
    """One engine against the oracle, over all queries; `engine` is the engine that was used.

    `identical` counts queries whose order is the same apart from pairs that the oracle scores closer than 1e-5.
    `tau_mean` and `tau_min` are Kendall's tau-b. `ndcg` is nDCG@10 and `ndcg_difference` its difference from the
    oracle's; None without judgements.
    """

    name: str
    engine: str
    queries: int
    identical: int
    tau_mean: float
    tau_min: float
    ndcg: float | None
    ndcg_difference: float | None


class AgreementReport(msgspec.Struct, frozen=True):
    """`machine` is the device, `work` model and pairs; `left_out` says which engines can't run here, and why."""

    machine: str
    work: str
    systems: list[Agreement]
    left_out: dict[str, str]


def agree(options: Options, qrels: Qrels | None, *, advance: Callable[[int], None]) -> AgreementReport:
    """Score all pairs with the oracle and with every other engine; `advance` is called after each query.

    The oracle is the engine `transformers` in float32. Raises what loading the model, or reading the pairs, raises.
    """
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as folder:
        model = options.model or str(prepare(Path(folder) / "model", options).directory)
        oracle = load_scorer(model, device=options.device, dtype="float32", engine=ORACLE, cache_size=0)
        queries = queries_for(options.pairs, oracle.manifest, seed=options.seed)
        truth = _scores(oracle, queries, advance)
        found, left_out = [], {}
        device, exact = _resolved(options)
        for name, mode in modes(options.dtype, exact, options.quantization).items():
            if mode == Mode(ORACLE, "float32"):
                continue
            try:
                scorer = load_scorer(model, device=options.device, **mode._asdict(), cache_size=0)
            except ConfigurationError as error:
                left_out[name] = error.message
                continue
            run = _scores(scorer, queries, advance)
            found.append(compare(name, run, truth, queries, qrels, engine=scorer.engine_name))
    pairs = sum(len(query.passages) for query in queries)
    name = oracle.name if options.model else "the embedded model with a random head"
    work = f"{name}, {pairs} pairs of {len(queries)} queries"
    return AgreementReport(device, work, found, left_out)


def _resolved(options: Options) -> tuple[str, str]:
    """Return device and dtype, by name."""
    from sidecar.scoring.checkpoints.checkpoint import Placement

    placement = Placement(options.device, options.dtype)
    return str(placement.torch_device()), str(placement.torch_dtype()).removeprefix("torch.")


def compare(  # noqa: PLR0913  by keyword
    name: str, run: Run, oracle: Run, queries: Sequence[Query], qrels: Qrels | None, *, engine: str = ""
) -> Agreement:
    """Compare an engine's scores with the oracle's."""
    taus = [tau(mine, truth) for mine, truth in zip(run, oracle, strict=True)]
    mine, truth = (_ndcg(one, queries, qrels) if qrels else None for one in (run, oracle))
    return Agreement(
        name=name,
        engine=engine,
        queries=len(queries),
        identical=sum(same_order(one, other) for one, other in zip(run, oracle, strict=True)),
        tau_mean=statistics.fmean(taus),
        tau_min=min(taus),
        ndcg=mine,
        ndcg_difference=None if mine is None or truth is None else mine - truth,
    )


def notes(report: AgreementReport) -> list[str]:
    """Say what was compared, how to read the table, and what was left out."""
    return [
        f"{report.work}; against {ORACLE} in float32 on {report.machine}.",
        f"same order: queries ordered alike apart from pairs closer than {CLOSER:g}; τ is Kendall's tau-b.",
        *(f"left out: {name}: {reason}" for name, reason in report.left_out.items()),
    ]


def _scores(scorer: Scorer, queries: Sequence[Query], advance: Callable[[int], None]) -> Run:
    run = []
    for query in queries:
        run.append([score.value for score in scorer.score(query.text, query.passages)])
        advance(len(query.passages))
    return run


def _ndcg(run: Run, queries: Sequence[Query], qrels: Qrels) -> float:
    scored = {
        query.qid: dict(zip(query.docids, scores, strict=True)) for query, scores in zip(queries, run, strict=True)
    }
    return mean_of(MEASURE, scored, {qid: grades for qid, grades in qrels.items() if qid in scored})
