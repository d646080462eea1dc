"""The tables of a report: rows of text for the page, and the same as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar.report.report import Report, signed
from sidecar.report.statistics import ALPHA

_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "−": "$-$",
    "≥": r"$\geq$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "…": r"\ldots{}",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: the columns from the `numeric`-th on hold numbers. `name` is unique in a report."""

    name: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: int = 1


def means(report: Report) -> Table:
    """Return the mean of each measure by run; a star marks a significant difference to the baseline."""
    headings = ("run", *report.measures, "queries")
    better = {(one.second, one.measure) for one in report.pairs if one.first == 0 and (one.test.holm_p or 1.0) < ALPHA}
    rows = [
        (
            run.name,
            *(f"{one.values[name]:.4f}{'*' if (place, name) in better else ''}" for name in report.measures),
            str(one.queries),
        )
        for place, (run, one) in enumerate(zip(report.runs, report.evaluations, strict=True))
    ]
    star = (
        f" A star: differs from {report.runs[0].name} (p < {ALPHA} in a paired t-test, Holm-corrected over all pairs)."
        if len(rows) > 1
        else ""
    )
    return Table("means", f"Means over the judged queries.{star}", headings, rows)


def pairs(report: Report, measure: str) -> Table:
    """Return the tests of all pairs of runs in one measure."""
    headings = (
        *("run", "against", "difference", "95% interval", "p (t-test)", "p (Holm)", "p (randomisation)"),
        *("detectable", "won", "tied", "lost"),
    )
    rows = []
    for one in report.pairs:
        if one.measure != measure:
            continue
        test = one.test
        span = "–" if test.low is None or test.high is None else f"{signed(test.low)} to {signed(test.high)}"
        least = "–" if test.detectable is None else f"{test.detectable:.4f}"
        names = (report.runs[one.second].name, report.runs[one.first].name)
        values = (signed(test.difference), span, _p(test.t_p), _p(test.holm_p), _p(test.randomisation_p), least)
        rows.append((*names, *values, str(test.wins), str(test.ties), str(test.losses)))
    caption = (
        f"{measure}: every pair of runs. Detectable: the smallest true difference that a t-test over these queries "
        "finds in 80% of cases."
    )
    return Table(f"pairs-{measure}", caption, headings, rows, numeric=2)


def windows(report: Report) -> Table:
    """Return quality and cost by window of the runs whose files hold the model's scores."""
    headings = ("run", "window", f"mean {report.measures[0]}", "passages a query", "seconds a query")
    rows = [
        (
            *(report.runs[one.run].name, str(one.size), f"{one.value:.4f}", f"{one.passages:.1f}"),
            "–" if one.seconds is None else f"{one.seconds:.2f}",
        )
        for one in report.windows
    ]
    caption = (
        "Quality and cost by window. The seconds are the run's own, in proportion to the passages; left out if "
        "the run took scores from a score file."
    )
    return Table("windows", caption, headings, rows)


def overlaps(report: Report) -> Table:
    """Return how alike the lists of each pair of runs are."""
    headings = ("run", "against", "rank-biased overlap", "Jaccard at 10", "queries of both")
    rows = [
        (one.second, one.first, f"{one.rbo:.4f}", f"{one.jaccard:.4f}", str(one.queries)) for one in report.overlaps
    ]
    caption = (
        "How alike the lists are, without judgements. Rank-biased overlap (persistence 0.9) of the first 100 hits: 1 "
        "for equal lists, 0 for lists without a common document."
    )
    return Table("overlaps", caption, headings, rows, numeric=2)


def making(report: Report) -> Table:
    """Return how each run with a manifest was made, and what it cost."""
    headings = (
        *("run", "model", "fusion", "first stage", "engine", "window", "queries", "passages scored", "seconds"),
        "seconds a query",
    )
    rows = []
    for run in report.runs:
        if run.manifest is None:
            continue
        made = run.manifest
        fusion = made.model.get("fusion")
        fused = " ".join(map(str, fusion.values())) if isinstance(fusion, dict) else "–"
        stage = made.first_stage.get("index") or made.first_stage.get("input") or made.first_stage.get("run") or "–"
        pace = made.seconds_per_query
        rows.append(
            (
                *(run.name, str(made.model.get("model", "–")), fused, str(stage).rsplit("/", 1)[-1]),
                *(str(made.model.get("engine", "–")), str(made.window or "–"), str(made.queries)),
                *(str(made.passages_scored), f"{made.seconds:.1f}", "–" if pace is None else f"{pace:.2f}"),
            )
        )
    caption = (
        "How the runs were made, by their manifests. The time of a query is left out if scores came from a score file, "
        "or from an earlier process."
    )
    return Table("runs", caption, headings, rows, numeric=5)


def all_tables(report: Report) -> list[Table]:
    """Return the tables of a report that have rows, in the order of the page."""
    judged = report.evaluations
    found = [means(report), windows(report), *(pairs(report, name) for name in report.measures)] if judged else []
    return [table for table in [*found, overlaps(report), making(report)] if table.rows]


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, with its caption before it."""

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_markdown_cell(cell) for cell in cells) + " |\n"

    rule = ["---"] * table.numeric + ["---:"] * (len(table.headings) - table.numeric)
    head = f"{table.caption.replace('*', chr(92) + '*')}\n\n{row(table.headings)}| {' | '.join(rule)} |\n"
    return head + "".join(map(row, table.rows))


def latex(table: Table) -> str:
    r"""Return a table in LaTeX for the package booktabs."""

    def row(cells: Sequence[str]) -> str:
        return " & ".join(_latex_cell(cell) for cell in cells) + " \\\\\n"

    columns = "l" * table.numeric + "r" * (len(table.headings) - table.numeric)
    body = "".join(map(row, table.rows))
    return (
        "\\begin{table}\n\\centering\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{row(table.headings)}\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
        f"\\caption{{{_latex_cell(table.caption)}}}\n\\end{{table}}\n"
    )


def by_query_csv(report: Report) -> str:
    """Return the value of every query: run, query, measure, value. Values are not rounded."""
    rows = [
        (run.name, qid, name, repr(one.by_query[name][qid]))
        for run, one in zip(report.runs, report.evaluations, strict=True)
        for name in report.measures
        for qid in sorted(one.by_query[name])
    ]
    return _csv(("run", "query", "measure", "value"), rows)


def pairs_csv(report: Report) -> str:
    """Return the tests of all pairs of runs and all measures; values are not rounded, empty where undefined."""
    headings = ("run", "against", "measure", "difference", "low", "high", "p_t", "p_holm", "p_randomisation")
    rows = []
    for one in report.pairs:
        test = one.test
        values = (test.difference, test.low, test.high, test.t_p, test.holm_p, test.randomisation_p, test.detectable)
        names = (report.runs[one.second].name, report.runs[one.first].name, one.measure)
        counts = (str(test.wins), str(test.ties), str(test.losses))
        rows.append((*names, *("" if value is None else repr(value) for value in values), *counts))
    return _csv((*headings, "detectable", "won", "tied", "lost"), rows)


def table_csv(table: Table) -> str:
    """Return a table as the page shows it."""
    return _csv(table.headings, table.rows)


def files(report: Report) -> dict[str, str]:
    """Return the files beside a page by the suffix that replaces its own."""
    found = all_tables(report)
    joined: dict[str, Callable[[Table], str]] = {".md": markdown, ".tex": latex}
    written = {suffix: "\n".join(map(make, found)) for suffix, make in joined.items()}
    if report.evaluations:
        written[".csv"] = table_csv(means(report))
        written[".by-query.csv"] = by_query_csv(report)
        if report.pairs:
            written[".pairs.csv"] = pairs_csv(report)
    else:
        written[".csv"] = table_csv(overlaps(report))
    return written


def _csv(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows([headings, *rows])
    return content.getvalue()


def _markdown_cell(cell: str) -> str:
    for char in "\\`*_[]<>|":
        cell = cell.replace(char, f"\\{char}")
    return " ".join(cell.split())


def _latex_cell(cell: str) -> str:
    return "".join(_LATEX.get(char, char) for char in " ".join(cell.split()))


def _p(value: float | None) -> str:
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
