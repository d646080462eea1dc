"""`sidecar evaluate`: runs against judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sidecar.cli.app import app
from sidecar.cli.factories import say

if TYPE_CHECKING:
    from sidecar.experiments.evaluate import Evaluation


class Judged(StrEnum):
    """Which of the judged queries count: all of the qrels, or those that a run has results for."""

    QRELS = "qrels"
    RUN = "run"


@app.command("evaluate")
def evaluate_command(
    runs: Annotated[list[Path], typer.Argument(help="Runs: TREC, MS MARCO or candidate lists, told by their lines.")],
    qrels: Annotated[Path, typer.Option(help="Judgements: TREC, BEIR's, or a name such as dl19-passage.")],
    metrics: Annotated[str, typer.Option(help="Measures of ir-measures.")] = "nDCG@10,RR@10,AP,R@100",
    judged_queries: Annotated[
        Judged, typer.Option(help="Average over all judged queries, or those that a run has results for.")
    ] = Judged.QRELS,
    per_query: Annotated[
        Path | None, typer.Option(help="Write each query's values there: run, query, measure, value; tab-separated.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Evaluate runs over the judged queries; one without results counts as 0.

    Of several runs the first is the baseline: p is that of a paired, two-sided t-test of each other run against it.
    """
    from sidecar.experiments.evaluate import evaluate, parse_measures, write_by_query
    from sidecar.experiments.qrels import read_qrels

    found = evaluate(runs, read_qrels(qrels), parse_measures(metrics), of_runs=judged_queries is Judged.RUN)
    if per_query is not None:
        write_by_query(found, per_query)
    if as_json:
        report = [{name: value for name, value in asdict(one).items() if name != "by_query"} for one in found]
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    console = Console()
    names = _names([Path(one.run) for one in found])
    console.print(_means(names, found))
    if len(found) > 1:
        console.print(f"\nagainst {escape(names[0])}", style="bold", highlight=False)
        console.print(_comparisons(names, found))
    for one in found:
        if one.missing or one.unjudged:
            pilot = "" if judged_queries is Judged.RUN or not one.missing else " (--judged-queries run leaves them out)"
            say(
                f"{one.run}: {one.missing} judged queries without a result count as 0{pilot}; "
                f"{one.unjudged} queries without judgements are left out."
            )


def _names(runs: Sequence[Path]) -> list[str]:
    """Name the runs for a narrow table: by their files' names, if those differ."""
    short = [run.name for run in runs]
    return short if len(set(short)) == len(set(runs)) else [str(run) for run in runs]


def _means(names: Sequence[str], found: Sequence[Evaluation]) -> Table:
    table = _table("run")
    for measure in (*found[0].values, "queries"):
        table.add_column(measure, justify="right", no_wrap=True)
    for name, one in zip(names, found, strict=True):
        table.add_row(escape(name), *(f"{value:.4f}" for value in one.values.values()), str(one.queries))
    return table


def _comparisons(names: Sequence[str], found: Sequence[Evaluation]) -> Table:
    table = _table("run")
    table.add_column("measure", no_wrap=True)
    for heading in ("difference", "p", "won", "tied", "lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in zip(names[1:], found[1:], strict=True):
        for row, (measure, versus) in enumerate(one.against_first.items()):
            p = "<0.001" if versus.p < 0.001 else f"{versus.p:.3f}"
            counts = (str(versus.wins), str(versus.ties), str(versus.losses))
            table.add_row("" if row else escape(name), measure, f"{versus.difference:+.4f}", p, *counts)
    return table


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    return table
