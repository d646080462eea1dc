"""`sidecar evaluate`: evaluate runs against relevance judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from sidecar.cli.app import command
from sidecar.cli.long_run import keep_inputs
from sidecar.cli.progress import working
from sidecar.cli.terminal import plain_table, print_results, say

if TYPE_CHECKING:
    from sidecar.experiments.evaluate import Evaluation


class Judged(StrEnum):
    """Judged queries to average over: all of the qrels, or those that a run has results for."""

    QRELS = "qrels"
    RUN = "run"


@command("evaluate", example="sidecar evaluate run.trec.first-stage run.trec --qrels qrels.txt")
def evaluate_command(
    runs: Annotated[
        list[Path], typer.Argument(help="Runs in TREC or MS MARCO format, or candidate lists; the format is detected.")
    ],
    qrels: Annotated[
        Path, typer.Option(help="Relevance judgements: a TREC or BEIR file, or a name such as dl19-passage.")
    ],
    metrics: Annotated[
        str, typer.Option(help="Measures, by their names in ir-measures, with commas between.")
    ] = "nDCG@10,RR@10,AP,R@100",
    judged_queries: Annotated[
        Judged, typer.Option(help="Average over all judged queries (qrels), or only over those in the run (run).")
    ] = Judged.QRELS,
    per_query: Annotated[
        Path | None,
        typer.Option(help="File for the values of each query: run, query, measure, value; separated by tabs."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Evaluate runs against relevance judgements; a query without results counts as 0.

    The first of several runs is the baseline. Each other run is compared with it by a paired, two-sided t-test.
    """
    from sidecar.experiments.evaluate import evaluate, parse_measures, write_by_query
    from sidecar.experiments.qrels import read_qrels

    if per_query is not None:
        keep_inputs(per_query, [*runs, qrels])
    with working("evaluating the runs"):
        found = evaluate(runs, read_qrels(qrels), parse_measures(metrics), of_runs=judged_queries is Judged.RUN)
    if per_query is not None:
        write_by_query(found, per_query)
    if as_json:
        report = [{name: value for name, value in asdict(one).items() if name != "by_query"} for one in found]
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    names = _names([Path(one.run) for one in found])
    print_results(_means(names, found))
    if len(found) > 1:
        print_results(f"\n[bold]against {escape(names[0])}[/]", _comparisons(names, found))
    for one in found:
        if one.irregular:
            say(f"{one.run}: {one.irregular}.")
        if one.missing or one.unjudged:
            hint = "" if judged_queries is Judged.RUN or not one.missing else " (--judged-queries run leaves them out)"
            say(
                f"{one.run}: {one.missing} judged queries without a result count as 0{hint}; "
                f"{one.unjudged} queries without judgements are left out."
            )


def _names(runs: Sequence[Path]) -> list[str]:
    """Return short names of the runs: those of their files, if they differ."""
    short = [run.name for run in runs]
    return short if len(set(short)) == len(set(runs)) else [str(run) for run in runs]


def _means(names: Sequence[str], found: Sequence[Evaluation]) -> Table:
    columns = (*found[0].values, "queries")
    table = plain_table("run", *columns, right=columns)
    for name, one in zip(names, found, strict=True):
        table.add_row(escape(name), *(f"{value:.4f}" for value in one.values.values()), str(one.queries))
    return table


def _comparisons(names: Sequence[str], found: Sequence[Evaluation]) -> Table:
    figures = ("difference", "p", "won", "tied", "lost")
    table = plain_table("run", "measure", *figures, right=figures)
    for name, one in zip(names[1:], found[1:], strict=True):
        for row, (measure, versus) in enumerate(one.against_first.items()):
            p = "<0.001" if versus.p < 0.001 else f"{versus.p:.3f}"
            counts = (str(versus.wins), str(versus.ties), str(versus.losses))
            table.add_row("" if row else escape(name), measure, f"{versus.difference:+.4f}", p, *counts)
    return table
