"""Computes a report: everything that the page and the tables beside it say of some runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.evaluate import Evaluation, evaluate, parse_measures
from sidecar.experiments.overlap import overlaps, pair
from sidecar.experiments.qrels import Qrels
from sidecar.report import figures
from sidecar.report.examples import Example, Texts, docids_of, example, read_texts
from sidecar.report.judged import Pair, Window, all_pairs, by_window, query_values, recall_by_depth
from sidecar.report.run_lists import RunLists, load_runs
from sidecar.report.score_groups import score_figure
from sidecar.report.svg import Figure

# Hits of each list that are compared without judgements: the weights of deeper ones are below 0.00003.
OVERLAP_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Source:
    """An input of a report: its part, its name and the SHA-256 of its content."""

    part: str
    name: str
    checksum: str


@dataclass(frozen=True, slots=True)
class Request:
    """The runs to compare, the first of which is the baseline, and how.

    `labels` are the names of the runs on the page, if they are not those of the files. `measures` are names of
    ir-measures; the first decides which queries are shown. `of_runs` leaves out judged queries that no run has. `level`
    is the lowest relevant grade. `topics` and `corpora` are looked into for texts. `examples` queries are shown for
    each comparison and direction.
    """

    runs: Sequence[Path]
    labels: Sequence[str] = ()
    qrels: Qrels | None = None
    measures: str = "nDCG@10,RR@10,AP,R@100"
    of_runs: bool = False
    level: int = 1
    topics: Path | None = None
    corpora: Sequence[Path] = ()
    fields: PassageFields = field(default_factory=PassageFields)
    examples: int = 3
    title: str = "Comparison of runs"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two runs without judgements: mean rank-biased overlap and mean Jaccard at 10 over the queries of both.

    `words` says which queries only one of them has.
    """

    first: str
    second: str
    queries: int
    rbo: float
    jaccard: float
    words: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run beside the baseline: the gains by query (None without judgements), and the queries that differ most."""

    name: str
    gains: Figure | None
    parts: Sequence[tuple[str, Sequence[Example]]]


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a report. `evaluations` and `pairs` are empty without judgements, `overlaps` of a single run."""

    request: Request
    runs: Sequence[RunLists]
    texts: Texts
    measures: Sequence[str] = ()
    evaluations: Sequence[Evaluation] = ()
    pairs: Sequence[Pair] = ()
    overlaps: Sequence[Overlap] = ()
    comparisons: Sequence[Comparison] = ()
    windows: Sequence[Window] = ()
    quality: Sequence[Figure] = ()
    distributions: Sequence[Figure] = ()
    sources: Sequence[Source] = ()

    @property
    def all_figures(self) -> list[Figure]:
        """Return every figure of the page, in its order."""
        return [*self.quality, *(one.gains for one in self.comparisons if one.gains), *self.distributions]

    def facts(self, position: int) -> list[str]:
        """Say what is irregular about a run: queries on one side alone, ties, a wrong order, a manifest left out."""
        run, found = self.runs[position], list(self.runs[position].notes)
        if self.evaluations:
            one = self.evaluations[position]
            found += [f"{one.missing} judged queries have no result and count as 0."] if one.missing else []
            found += [f"{one.unjudged} queries have no judgements and are left out."] if one.unjudged else []
        irregular = run.irregular.words()
        return [*found, *([f"{irregular}."] if irregular else [])]


def make_report(request: Request, sources: Sequence[Source] = ()) -> Report:
    """Read the runs and compute the report. Raises `InputError` for a malformed file and for unrelated runs."""
    runs = load_runs(request.runs, request.labels)
    texts = read_texts(runs, request.topics, request.corpora)
    overlapping = [_overlap(*two) for two in combinations(runs, 2)]
    if request.qrels is None:
        found: dict[str, Any] = {"comparisons": [_changes(runs[0], run, request) for run in runs[1:]]}
    else:
        found = _judged(request, runs, request.qrels)
    drawn = [score_figure(position, run, request.qrels, request.level) for position, run in enumerate(runs)]
    distributions = [figure for figure in drawn if figure is not None]
    shown = [one for comparison in found["comparisons"] for _, examples in comparison.parts for one in examples]
    texts.look_up(docids_of(shown), runs, request.fields)
    return Report(request, runs, texts, overlaps=overlapping, distributions=distributions, sources=sources, **found)


def _judged(request: Request, runs: Sequence[RunLists], qrels: Qrels) -> dict[str, Any]:
    parsed = parse_measures(request.measures)
    measures = [str(one) for one in parsed]
    evaluations = evaluate(request.runs, qrels, parsed, of_runs=request.of_runs)
    qids = sorted({qid for one in evaluations for qid in one.by_query[measures[0]]})
    values = [query_values(one, measures[0], qids) for one in evaluations]
    names = [run.name for run in runs]
    judged = {qid: qrels[qid] for qid in qids}
    windows = [one for place, run in enumerate(runs) for one in by_window(place, run, measures[0], judged)]
    drawn = [
        figures.means(names, values, measures[0]),
        *_recall(request, runs, judged),
        *_windows(names, windows, measures[0]),
    ]
    return {
        "measures": measures,
        "evaluations": evaluations,
        "pairs": all_pairs(evaluations, measures, qids),
        "windows": windows,
        "quality": drawn,
        "comparisons": [
            _helped_and_hurt(position, (runs[0], run), qids, (values[0], values[position]), request)
            for position, run in enumerate(runs)
            if position
        ],
    }


def _recall(request: Request, runs: Sequence[RunLists], judged: Qrels) -> list[Figure]:
    recalls = [(place, recall_by_depth(run, judged, request.level)) for place, run in enumerate(runs)]
    lines = [figures.Curve(place, runs[place].name, points) for place, points in recalls if points]
    caption = (
        f"Mean share of the documents of grade {request.level} or above that the first hits contain. "
        "A first stage's recall at the window is the most that reranking its hits can reach."
    )
    axes = ("first hits", f"recall (grade ≥ {request.level})")
    return [figures.curves("recall", "Recall by depth", caption, lines, axes)] if lines else []


def _windows(names: Sequence[str], windows: Sequence[Window], measure: str) -> list[Figure]:
    lines = [
        figures.Curve(place, name, [(one.size, one.value) for one in windows if one.run == place])
        for place, name in enumerate(names)
        if any(one.run == place for one in windows)
    ]
    caption = (
        f"Mean {measure} if the model had reranked fewer hits, computed from its scores and the run's fusion. "
        "Runs whose files do not hold these scores are not drawn."
    )
    axes = ("window", f"mean {measure}")
    return [figures.curves("windows", "Quality by window", caption, lines, axes)] if lines else []


def _helped_and_hurt(
    position: int,
    two: tuple[RunLists, RunLists],
    qids: Sequence[str],
    values: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    request: Request,
) -> Comparison:
    measure, qrels = str(parse_measures(request.measures)[0]), request.qrels or {}
    differences = values[1] - values[0]
    order = sorted(range(len(qids)), key=lambda i: (-differences[i], qids[i]))

    def show(places: Sequence[int]) -> list[Example]:
        return [
            example(
                qids[i],
                f"{measure} {values[0][i]:.4f} → {values[1][i]:.4f} ({signed(differences[i])})",
                two,
                qrels.get(qids[i], {}),
            )
            for i in places
        ]

    helped = [i for i in order if differences[i] > 0][: request.examples]
    hurt = [i for i in reversed(order) if differences[i] < 0][: request.examples]
    gains = figures.gains(position, two[1].name, two[0].name, differences, measure)
    return Comparison(two[1].name, gains, (("Queries helped most", show(helped)), ("Queries hurt most", show(hurt))))


def _changes(baseline: RunLists, run: RunLists, request: Request) -> Comparison:
    found = overlaps(baseline.order, run.order)[: request.examples * 2]
    changed = [one for one in found if one.rbo < 1]
    examples = [
        example(one.qid, f"rank-biased overlap {one.rbo:.3f}, {one.kept} of 10 kept", (baseline, run), None)
        for one in changed
    ]
    return Comparison(run.name, None, (("Queries that change most", examples),))


def _overlap(first: RunLists, second: RunLists) -> Overlap:
    tops = [{qid: docids[:OVERLAP_DEPTH] for qid, docids in run.order.items()} for run in (first, second)]
    found = overlaps(*tops)
    if not found:
        raise InputError(
            f"{first.path} and {second.path} have no query in common.", remedy="Are they runs of the same topics?"
        )
    return Overlap(
        first.name,
        second.name,
        len(found),
        sum(one.rbo for one in found) / len(found),
        sum(one.jaccard for one in found) / len(found),
        pair(first.order, second.order).words(first.name, second.name),
    )


def signed(value: float, digits: int = 4) -> str:
    """Return a difference with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")
