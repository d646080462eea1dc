"""`sidecar bench`: competitors and ours in one process, on the same weights, token ids and machine."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from sidecar.cli.app import app
from sidecar.cli.options import takes
from sidecar.cli.parts import say
from sidecar.settings import Settings


class Shape(str, Enum):
    """The true shapes there are."""

    LLAMA_3B = "3b"
    LLAMA_8B = "8b"


@app.command("bench")
@takes("device", "dtype")
def bench_command(
    pairs: Annotated[
        Path | None,
        typer.Option(help="Candidate lists as `rerank` reads them; without, texts of DL19's lengths are made up."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A cross-encoder; without, the embedded MiniLM with a head drawn by seed.")
    ] = None,
    shape: Annotated[
        Shape | None, typer.Option(help="Random weights of Llama's true shape instead, for a GPU: Llama-3.2-3B or -3.1-8B.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="The pairs are cut to what fits in this time.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=2, help="How often each system is timed, in turn.")] = 10,
    seed: Annotated[int, typer.Option(help="Draws the head, the weights of a shape, and made-up texts.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures there.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw pairs a second there, as .png or .svg.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="With --agreement: judgements, for the difference in nDCG@10.")] = None,
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
    from sidecar.bench.run import Options

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


def _time(options: object, json_file: Path | None, plot: Path | None) -> None:
    from sidecar.bench import plot as plots
    from sidecar.bench.report import write
    from sidecar.bench.run import run
    from sidecar.bench.tables import notes, series, table

    if plot is not None:
        plots.check(plot)
    report = run(options, clock=perf_counter, say=say)
    console = Console(highlight=False)
    for shown in (table(report), series(report)):
        if shown is not None:
            console.print(shown)
    for line in notes(report):
        console.print(line, soft_wrap=True)
    if json_file is not None:
        write(report, json_file)
    if plot is not None:
        plots.draw(report, plot)
