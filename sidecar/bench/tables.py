"""Show a report to people: a table, and sentences on what was measured and what was not."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from sidecar.bench.agreement import MEASURE, AgreementReport
from sidecar.bench.report import Report, SystemFigures

HOW_TO_READ = (
    "± is the interquartile range, × is paired round by round; σ and τ: against plain transformers, float32, one pair "
    "at a time; MB: what loading and a pass added; first s: from loading to the first list's scores"
)


def table(report: Report) -> Table:
    """Return one row for each system."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("system", no_wrap=True)
    for title in ("median s", "pairs/s", "tokens/s", "of peak", "MB", "first s", "max Δ σ", "τ", "× card", "× s-t"):
        shown.add_column(title, justify="right", no_wrap=True)
    for line in report.systems:
        shown.add_row(*_row(line), style="bold" if line.name.startswith("ours") else None)
    return shown


def _row(line: SystemFigures) -> list[str]:
    return [
        line.name,
        f"{line.median_s:.3f} ±{line.spread_s:.3f}",
        f"{line.pairs_per_s:.1f}",
        f"{line.tokens_per_s:,.0f}",
        f"{line.share_of_peak:.0%}",
        "–" if line.memory_mb is None else f"{line.memory_mb:,.0f}",
        f"{line.first_score_s:.1f}",
        f"{line.max_diff_sigma:.1e}",
        f"{line.tau:.4f}",
        _ratio(line.times_card),
        _ratio(line.times_sentence_transformers),
    ]


def _ratio(value: tuple[float, float] | None) -> str:
    return "–" if value is None else f"{value[0]:.2f} ±{value[1]:.2f}"


def notes(report: Report) -> list[str]:
    """Return machine, work, how to read the table, and what was left out; as markup."""
    machine, work = report.machine, report.work
    libraries = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    where = f"{machine.name}; {machine.device}, {machine.dtype}; best matmul {machine.peak_gflops:,.0f} GFLOP/s"
    what = f"{work.model}; {work.pairs} pairs of {work.queries} queries from {work.source}; {work.tokens} real tokens"
    how = f"{work.gflop:,.0f} GFLOP without padding; {work.rounds} rounds, systems in turn; tokenisation included"
    notes = [where, libraries, what, how, HOW_TO_READ]
    if work.cut:
        notes.append(work.cut)
    notes += [f"left out: {name}: {reason}" for name, reason in work.left_out.items()]
    return [escape(one) for one in notes]


def series(report: Report) -> Table | None:
    """Return seconds by documents and by callers; None if they were not measured."""
    rows = [
        (line.name, kind, point)
        for line in report.systems
        for kind, points in (("documents", line.by_documents), ("callers", line.by_callers))
        for point in points
    ]
    if not rows:
        return None
    shown = Table("system", "", "size", "median s", "pairs/s", box=None, pad_edge=False)
    for name, kind, point in rows:
        shown.add_row(name, kind, str(point.size), f"{point.median_s:.3f}", f"{point.pairs_per_s:.1f}")
    return shown


def agreement_table(report: AgreementReport) -> Table:
    """Return one row for each engine."""
    shown = Table(
        "asked for", "engine", "same order", "τ mean", "τ least", MEASURE, f"Δ {MEASURE}", box=None, pad_edge=False
    )
    for one in report.systems:
        shown.add_row(
            one.name,
            one.engine,
            f"{one.identical}/{one.queries}",
            f"{one.tau_mean:.5f}",
            f"{one.tau_min:.5f}",
            "–" if one.ndcg is None else f"{one.ndcg:.4f}",
            "–" if one.ndcg_difference is None else f"{one.ndcg_difference:+.4f}",
        )
    return shown
