"""Evaluation of runs: measures over judged queries, computed by ir-measures."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.qrels import Qrels
from sidecar.experiments.run_order import irregular
from sidecar.experiments.run_reading import read_run

if TYPE_CHECKING:
    import ir_measures

# Query id → docid → score.
Run = dict[str, dict[str, float]]
# Measure → query id → value.
PerQuery = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run compared with another, over the judged queries.

    `difference` is that of the two aggregates, `p` that of a paired, two-sided t-test (1 if no query differs), and
    `wins`, `ties` and `losses` count queries.
    """

    difference: float
    p: float
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The mean of each measure over the judged queries that count; a query that the run lacks counts as 0.

    `missing` are the judged queries without a result, `unjudged` the run's queries that the qrels lack.
    `against_first` compares each measure with the first run's; it is empty for the first run itself. `by_query` are
    the values of each measure by query id. `irregular` says how equal scores and a wrong order were read; it is empty
    for a run without them.
    """

    run: str
    values: dict[str, float]
    queries: int
    missing: int
    unjudged: int
    against_first: dict[str, Comparison]
    by_query: PerQuery
    irregular: str = ""


def _library() -> Any:
    # Imported here: it is not installed everywhere, and only measuring needs it.
    try:
        import ir_measures
    except ModuleNotFoundError:
        raise ConfigurationError(
            "ir-measures is not installed, which computes the measures.",
            remedy="pip install 'rerank-sidecar[evaluation]'; on ARM Linux that takes a C compiler.",
        ) from None
    return ir_measures


def parse_measures(text: str) -> list[ir_measures.Measure]:
    """Parse a list like `nDCG@10,RR(rel=2)@10,AP`; commas inside parentheses belong to the measure.

    Raises `InputError` for a name that ir-measures does not know, and `ConfigurationError` if it is not installed.
    """
    measures = []
    for name in re.findall(r"(?:[^,(]|\([^)]*\)?)+", text):
        try:
            measure = _library().parse_measure(name.strip())
            measure.validate_params()
            _check_bounds(measure)
            measures.append(measure)
        except (NameError, ValueError, KeyError, AttributeError, AssertionError) as error:
            raise InputError(
                f"{name.strip()} is not a measure: {error}.",
                remedy="Known ones: nDCG@10, RR@10, AP, R@100, P@5, RR(rel=2)@10, …",
            ) from None
    if not measures:
        raise InputError("no measure was named.", remedy="Name some, such as nDCG@10,RR@10,AP,R@100.")
    return measures


def _check_bounds(measure: ir_measures.Measure) -> None:
    """Raise `ValueError` for a cutoff or a grade of 0, on which trec_eval ends the whole process."""
    for name, words in (("cutoff", "its cutoff"), ("rel", "its lowest relevant grade")):
        if measure.params.get(name, 1) < 1:
            raise ValueError(f"{words} is below 1")


class _Evaluator:
    """Computes measures of runs query by query, over fixed judgements. Raises `InputError` for a missing program.

    gdeval, which computes ERR and nDCG with exponential gains, takes only numbers as query ids, and drops all before a
    hyphen. So it gets numbers in place of the ids.
    """

    def __init__(self, measures: Sequence[ir_measures.Measure], qrels: Qrels) -> None:
        self._measures = measures
        numbered = any(one.NAME == "ERR" or one.params.get("dcg") == "exp-log2" for one in measures)
        self._names = {qid: str(at) if numbered else qid for at, qid in enumerate(qrels, start=1)}
        self._qids = {name: qid for qid, name in self._names.items()}
        try:
            self._found = _library().evaluator(measures, {self._names[qid]: grades for qid, grades in qrels.items()})
        except ValueError as error:  # the measure's program is an extra of ir-measures
            raise InputError(str(error)) from None

    def by_query(self, run: Run) -> PerQuery:
        """Return the values of each measure by query id."""
        by_query: PerQuery = {str(measure): {} for measure in self._measures}
        named = {self._names[qid]: scores for qid, scores in run.items() if qid in self._names}
        for metric in self._found.iter_calc(named):
            by_query[str(metric.measure)][self._qids[metric.query_id]] = float(metric.value)
        return by_query


def evaluate(
    paths: Sequence[Path], qrels: Qrels, measures: Sequence[ir_measures.Measure], *, of_runs: bool = False
) -> list[Evaluation]:
    """Evaluate each run file over all judged queries, or those that at least one run has results for (`of_runs`).

    Raises `InputError` for a malformed run, or one without any judged query.
    """
    runs = [read_run(path) for path in paths]
    if of_runs:
        qrels = {qid: grades for qid, grades in qrels.items() if any(qid in run for run in runs)}
    evaluator = _Evaluator(measures, qrels)
    found: list[Evaluation] = []
    for path, run in zip(paths, runs, strict=True):
        by_query = evaluator.by_query(run)
        values = {str(measure): _aggregate(measure, by_query[str(measure)]) for measure in measures}
        one = _evaluation(path, run, qrels, values, by_query)
        found.append(replace(one, against_first=_compare(found[0], one)) if found else one)
    return found


def mean_of(measure: str, run: dict[str, dict[str, float]], qrels: Qrels) -> float:
    """Return one measure of a run in memory, over all judged queries. Raises `InputError` for an unknown measure."""
    [parsed] = parse_measures(measure)
    return _aggregate(parsed, _Evaluator([parsed], qrels).by_query(run)[str(parsed)])


def check_documents(run: Mapping[str, Iterable[str]], qrels: Qrels, name: str) -> None:
    """Raise `InputError` if no document of a run is judged for any query: then every measure would be 0.

    Collections number their queries alike, so the ids of the queries alone don't tell foreign judgements.
    """
    judged = {docid for grades in qrels.values() for docid in grades}
    if judged.isdisjoint(docid for docids in run.values() for docid in docids):
        raise InputError(
            f"none of the documents in {name} is judged for any query, so every measure would be 0.",
            remedy="Are these the qrels of the same collection? Compare the document ids of both files.",
        )


class Measuring:
    """One measure over fixed judgements, for many runs in memory. Raises what `parse_measures` raises.

    `cutoff` is the depth beyond which the measure looks at nothing; None if it reads whole runs.
    """

    def __init__(self, measure: str, qrels: Qrels) -> None:
        parsed = parse_measures(measure)
        if len(parsed) != 1:
            raise InputError(f"{measure} names {len(parsed)} measures.", remedy="Name one, such as nDCG@10.")
        [self._measure] = parsed
        self.name = str(self._measure)
        self.cutoff: int | None = self._measure.params.get("cutoff")
        self._qrels = qrels
        self._evaluator = _Evaluator(parsed, qrels)

    def by_query(self, run: Run) -> dict[str, float]:
        """Return the value of each judged query; a query without results has 0."""
        found = self._evaluator.by_query(run)[self.name]
        return {qid: found.get(qid, 0.0) for qid in self._qrels}

    def mean(self, values: Mapping[str, float], qids: Sequence[str]) -> float:
        """Return the mean over some queries (for counts the sum: the measure decides)."""
        return _aggregate(self._measure, {qid: values[qid] for qid in qids})

    def compare(self, before: Mapping[str, float], after: Mapping[str, float], qids: Sequence[str]) -> Comparison:
        """Compare the values of two runs over some queries, by a paired t-test."""
        difference = self.mean(after, qids) - self.mean(before, qids)
        return _comparison([(before[qid], after[qid]) for qid in qids], difference)


def write_by_query(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write `run, query, measure, value`, tab-separated with a header, sorted by query id."""
    with atomic_write(path) as stream:
        stream.write("run\tquery\tmeasure\tvalue\n")
        for one in evaluations:
            for measure, values in one.by_query.items():
                stream.writelines(f"{one.run}\t{qid}\t{measure}\t{values[qid]!r}\n" for qid in sorted(values))


def _aggregate(measure: ir_measures.Measure, values: dict[str, float]) -> float:
    """Return the mean for most measures, the sum for counts: the measure decides."""
    aggregator = measure.aggregator()
    for value in values.values():
        aggregator.add(value)
    return float(aggregator.result())


def _compare(first: Evaluation, other: Evaluation) -> dict[str, Comparison]:
    found = {}
    for name, values in other.by_query.items():
        before = first.by_query[name]
        pairs = [(before.get(qid, 0.0), values.get(qid, 0.0)) for qid in sorted(before.keys() | values.keys())]
        found[name] = _comparison(pairs, other.values[name] - first.values[name])
    return found


def _comparison(pairs: Sequence[tuple[float, float]], difference: float) -> Comparison:
    wins, losses = sum(two > one for one, two in pairs), sum(two < one for one, two in pairs)
    return Comparison(difference, paired_p([two - one for one, two in pairs]), wins, len(pairs) - wins - losses, losses)


def paired_p(differences: Sequence[float]) -> float:
    """Return the p-value of a paired, two-sided t-test on per-query differences: 1 if no query differs.

    It is NaN for a single query that does.
    """
    from scipy.stats import ttest_1samp

    if not any(differences):
        return 1.0
    with warnings.catch_warnings():
        # scipy warns here, but the value already shows it: 0 if all queries differ by the same, NaN for a single query.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ttest_1samp(differences, 0.0).pvalue)


def _evaluation(
    path: Path, run: dict[str, dict[str, float]], qrels: Qrels, values: dict[str, float], by_query: PerQuery
) -> Evaluation:
    judged = run.keys() & qrels.keys()
    if not judged:
        raise InputError(
            f"{path} has none of the judged queries.", remedy="Are these the qrels of the same collection?"
        )
    check_documents(run, qrels, str(path))
    return Evaluation(
        run=str(path),
        values=values,
        queries=len(qrels),
        missing=len(qrels) - len(judged),
        unjudged=len(run) - len(judged),
        against_first={},
        by_query=by_query,
        irregular=irregular(run).words(),
    )
