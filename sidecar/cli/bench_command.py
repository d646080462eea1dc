"""`sidecar bench`: competitors and ours in one process, on the same weights, token ids and machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.app import app
from sidecar.cli.effects import Condition
from sidecar.cli.factories import say
from sidecar.cli.options import takes
from sidecar.cli.progress import Pace, progress
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.bench.options import Options

# Columns that the table needs; on a narrower terminal its lines wrap, and nothing is cut off.
_WIDTH = 140


class ModelShape(StrEnum):
    """The true shapes there are."""

    LLAMA_3B = "3b"
    LLAMA_8B = "8b"


CONDITIONS = (
    Condition(("qrels",), lambda mode: mode.agreement, "orders are compared with --agreement alone"),
    Condition(
        ("minutes", "rounds", "plot", "scaling"), lambda mode: not mode.agreement, "nothing is timed with --agreement"
    ),
    Condition(
        ("seed",), lambda mode: mode.model is None or mode.pairs is None, "nothing is drawn for this model and pairs"
    ),
)


@app.command("bench")
@takes("device", "dtype", conditions=CONDITIONS)
def bench_command(
    pairs: Annotated[
        Path | None,
        typer.Option(help="Candidate lists as `rerank` reads them; without, texts of DL19's lengths are made up."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A cross-encoder; without, the embedded MiniLM with a head drawn by seed.")
    ] = None,
    shape: Annotated[
        ModelShape | None,
        typer.Option(help="Random weights of Llama's true shape instead, for a GPU: Llama-3.2-3B or -3.1-8B."),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="The pairs are cut to what fits in this time.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=2, help="How often each system is timed, in turn.")] = 10,
    seed: Annotated[int, typer.Option(help="Draws the head, the weights of a shape, and made-up texts.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures there.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw pairs a second there, as .png or .svg.")] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="With --agreement: judgements, for the difference in nDCG@10.")
    ] = None,
    *,
    agreement: Annotated[
        bool,
        typer.Option("--agreement", help="Compare our engines' order with plain float32 over all pairs; no timing."),
    ] = False,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Also ours at 1 to 1000 documents, and with 1 to 64 callers at once.")
    ] = False,
    settings: Settings,
) -> None:
    """Measure this package's engines and its competitors on the same weights, token ids and machine.

    Systems take turns, round by round; tokenisation is included. A competitor that is not installed is named as left
    out: `make bench` installs them all.
    """
    from sidecar.bench.options import Options

    options = Options(
        pairs=pairs,
        model=model,
        shape=shape.value if shape else None,
        device=settings.device,
        dtype=settings.dtype,
        minutes=minutes,
        rounds=rounds,
        seed=seed,
        scaling=scaling,
    )
    if agreement:
        _agree(options, qrels, json_file)
    else:
        _time(options, json_file, plot)


def _time(options: Options, json_file: Path | None, plot: Path | None) -> None:
    from sidecar.bench import plot as plots
    from sidecar.bench.report import write
    from sidecar.bench.run import run
    from sidecar.bench.tables import notes, series, table

    if plot is not None:
        plots.check(plot)
    report = run(options, clock=perf_counter, say=say)
    _show(table(report), *filter(None, [series(report)]), *notes(report))
    if json_file is not None:
        write(report, json_file)
    if plot is not None:
        plots.draw(report, plot)


def _agree(options: Options, qrels: Path | None, json_file: Path | None) -> None:
    from sidecar.bench.agreement import agree, notes
    from sidecar.bench.report import write
    from sidecar.bench.tables import agreement_table
    from sidecar.experiments.qrels import read_qrels

    judged = read_qrels(qrels) if qrels is not None else None
    with progress("scoring", Pace("queries")) as meter:
        report = agree(options, judged, advance=meter.advance)
    _show(agreement_table(report), *map(escape, notes(report)))
    if json_file is not None:
        write(report, json_file)


def _show(*parts: object) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
