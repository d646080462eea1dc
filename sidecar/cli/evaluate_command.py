"""`sidecar evaluate`: runs against judgements."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from sidecar.cli.app import app


@app.command("evaluate")
def evaluate_command(
    runs: Annotated[list[Path], typer.Argument(help="Runs: TREC, MS MARCO or candidate lists, told by their lines.")],
    qrels: Annotated[Path, typer.Option(help="Judgements: TREC, or tab-separated (query, document, grade).")],
    metrics: Annotated[str, typer.Option(help="Measures of ir-measures.")] = "nDCG@10,RR@10,AP,R@100",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Evaluate runs over all judged queries; one without results counts as 0.

    Of several runs the first is the baseline: p is that of a paired, two-sided t-test of each other run against it.
    """
    from sidecar.experiments.evaluate import evaluate, parse_measures, read_qrels

    found = evaluate(runs, read_qrels(qrels), parse_measures(metrics))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode([asdict(one) for one in found]), indent=2).decode())
        return
    table = Table("run", *found[0].values, "queries", box=None, pad_edge=False)
    for one in found:
        row = [
            f"{value:.4f}" + (f" [dim]{_p_value(one.p_values[name])}[/]" if one.p_values else "")
            for name, value in one.values.items()
        ]
        table.add_row(one.run, *row, str(one.queries))
    Console().print(table)
    for one in found:
        if one.missing or one.unjudged:
            Console(stderr=True).print(
                f"{one.run}: {one.missing} judged queries without a result count as 0; "
                f"{one.unjudged} queries without judgements are left out."
            )


def _p_value(p: float) -> str:
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"
