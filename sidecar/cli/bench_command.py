"""`sidecar bench`: measure our engines and other libraries in one process, on the same weights and token ids."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidecar.cli.app import command
from sidecar.cli.effects import Condition
from sidecar.cli.options import takes
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.terminal import result_console, say
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.bench.options import Options

# Columns that the table needs; a narrower terminal wraps its lines, and nothing is cut off.
_WIDTH = 140


class ModelShape(StrEnum):
    """The shapes of models that can be measured with random weights."""

    LLAMA_3B = "3b"
    LLAMA_8B = "8b"
    BERT_BASE = "bert-base"
    XLM_ROBERTA_LARGE = "xlm-roberta-large"
    MODERNBERT_BASE = "modernbert-base"


CONDITIONS = (
    Condition(("qrels",), lambda mode: mode.agreement, "judgements are used with --agreement only"),
    Condition(
        ("minutes", "rounds", "plot", "scaling"), lambda mode: not mode.agreement, "--agreement measures no time"
    ),
    Condition(
        ("seed",), lambda mode: mode.model is None or mode.pairs is None, "nothing is random with --model and --pairs"
    ),
)


@command("bench", example="sidecar bench --minutes 1")
@takes("device", "dtype", "quantization", conditions=CONDITIONS)
def bench_command(
    pairs: Annotated[
        Path | None,
        typer.Option(help="Candidate lists, as `rerank` reads them. Unset: generated texts with the lengths of DL19."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A cross-encoder. Unset: the embedded model with a random score head.")
    ] = None,
    shape: Annotated[
        ModelShape | None,
        typer.Option(help="Random weights in the shape of Llama-3.2-3B or Llama-3.1-8B, for a GPU, or of an encoder."),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            min=0.1, help="Minutes that the measurement may take; fewer pairs are scored if there is too little time."
        ),
    ] = 5.0,
    rounds: Annotated[
        int, typer.Option(min=2, help="Times that each system is measured; the systems take turns.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Seed of random weights and generated texts.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all figures, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="File for a plot of pairs per second: .png or .svg.")] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="Relevance judgements for --agreement, for the difference in nDCG@10.")
    ] = None,
    *,
    agreement: Annotated[
        bool,
        typer.Option(
            "--agreement", help="Compare the order of each engine with that of plain float32; measure no time."
        ),
    ] = False,
    scaling: Annotated[
        bool,
        typer.Option(
            "--scaling", help="Also measure 1 to 1000 documents in a request, and 1 to 64 concurrent callers."
        ),
    ] = False,
    settings: Settings,
) -> None:
    """Measure the speed of the scoring engines and of other libraries on the same weights and token ids.

    The systems take turns, round by round; tokenisation is included. A library that is not installed is listed as left
    out; `make bench` installs all of them.
    """
    from sidecar.bench.options import Options

    options = Options(
        pairs=pairs,
        model=model,
        shape=shape.value if shape else None,
        device=settings.device,
        dtype=settings.dtype,
        quantization=settings.quantization,
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
    with working("importing the libraries"):
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
    with working("importing the libraries"):
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
    console = result_console()
    console.width = max(console.width, _WIDTH)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
