"""What a run is worth: measures over judged queries, computed by ir-measures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ir_measures

from sidecar.errors import InputError
from sidecar.experiments.run_reading import read_run
from sidecar.lines import numbered_lines

Qrels = dict[str, dict[str, int]]
# Measure → query id → value.
PerQuery = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean of each measure over all judged queries; a query the run lacks counts as 0.

    `missing` are the judged queries without a result, `unjudged` the run's queries that the qrels don't know.
    `p_values` compare each measure with the first run's by a paired t-test over the judged queries, two-sided; it is
    empty for the first run itself, and 1 where no query differs.
    """

    run: str
    values: dict[str, float]
    queries: int
    missing: int
    unjudged: int
    p_values: dict[str, float]


def read_qrels(path: Path) -> Qrels:
    """Judgements from a TREC file (`qid 0 docid grade`) or a tab-separated one (`qid docid grade`, header allowed).

    Raises `InputError` with file and line for a malformed line.
    """
    qrels: Qrels = {}
    for number, (where, line) in enumerate(numbered_lines(path)):
        columns = line.decode(errors="replace").split()
        if number == 0 and columns and not re.fullmatch(r"-?\d+", columns[-1]):
            continue  # the header of the BEIR format
        if len(columns) not in {3, 4} or not re.fullmatch(r"-?\d+", columns[-1]):
            raise InputError(
                f"{where}: neither a TREC judgement (qid 0 docid grade) nor a BEIR one (qid, docid, grade)."
            )
        qrels.setdefault(columns[0], {})[columns[-2]] = int(columns[-1])
    if not qrels:
        raise InputError(f"{path} holds no judgement.")
    return qrels


def parse_measures(text: str) -> list[ir_measures.Measure]:
    """Measures from a list like `nDCG@10,RR(rel=2)@10,AP`; commas inside parentheses belong to the measure.

    Raises `InputError` for a name that ir-measures does not know.
    """
    measures = []
    for name in re.findall(r"(?:[^,(]|\([^)]*\)?)+", text):
        try:
            measure = ir_measures.parse_measure(name.strip())
            measure.validate_params()
            measures.append(measure)
        except (NameError, ValueError, KeyError, AttributeError, AssertionError) as error:
            raise InputError(
                f"{name.strip()} is no measure: {error}.",
                remedy="Known ones: nDCG@10, RR@10, AP, R@100, P@5, RR(rel=2)@10, …",
            ) from None
    if not measures:
        raise InputError("no measure was named.", remedy="Name some, such as nDCG@10,RR@10,AP,R@100.")
    return measures


def evaluate(runs: Sequence[Path], qrels: Qrels, measures: Sequence[ir_measures.Measure]) -> list[Evaluation]:
    """Evaluate each run file. Raises `InputError` for a malformed run, or one without any judged query."""
    try:
        evaluator = ir_measures.evaluator(measures, qrels)
    except ValueError as error:  # a measure whose program is an extra of ir-measures
        raise InputError(str(error)) from None
    found: list[Evaluation] = []
    first: PerQuery = {}
    for path in runs:
        run = read_run(path)
        by_query = _by_query(run, measures, evaluator)
        first = first or by_query
        p_values = {} if by_query is first else {name: _paired(first[name], by_query[name]) for name in by_query}
        values = {str(measure): _aggregate(measure, by_query[str(measure)]) for measure in measures}
        found.append(_evaluation(path, run, qrels, values, p_values))
    return found


def _aggregate(measure: ir_measures.Measure, values: dict[str, float]) -> float:
    """The mean for most measures, the sum for counts: the measure knows."""
    aggregator = measure.aggregator()
    for value in values.values():
        aggregator.add(value)
    return float(aggregator.result())


def _by_query(
    run: dict[str, dict[str, float]],
    measures: Sequence[ir_measures.Measure],
    evaluator: ir_measures.providers.Evaluator,
) -> PerQuery:
    by_query: PerQuery = {str(measure): {} for measure in measures}
    for metric in evaluator.iter_calc(run):
        by_query[str(metric.measure)][metric.query_id] = float(metric.value)
    return by_query


def _paired(first: dict[str, float], other: dict[str, float]) -> float:
    from scipy.stats import ttest_rel

    pairs = [(first.get(qid, 0.0), other.get(qid, 0.0)) for qid in sorted(first.keys() | other.keys())]
    if all(one == two for one, two in pairs):
        return 1.0
    return float(ttest_rel([one for one, _ in pairs], [two for _, two in pairs]).pvalue)


def _evaluation(
    path: Path, run: dict[str, dict[str, float]], qrels: Qrels, values: dict[str, float], p_values: dict[str, float]
) -> Evaluation:
    judged = run.keys() & qrels.keys()
    if not judged:
        raise InputError(
            f"{path} has none of the judged queries.", remedy="Are these the qrels of the same collection?"
        )
    return Evaluation(
        run=str(path),
        values=values,
        queries=len(qrels),
        missing=len(qrels) - len(judged),
        unjudged=len(run) - len(judged),
        p_values=p_values,
    )
