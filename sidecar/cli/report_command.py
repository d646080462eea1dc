"""`sidecar report`: write a page on runs, with tables and figures beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import Condition
from sidecar.cli.evaluate_command import Judged
from sidecar.cli.options import FIELDS, TOPICS, takes
from sidecar.cli.report_files import ReportFiles
from sidecar.settings import Settings

_JUDGED = Condition(
    ("metrics", "judged_queries", "relevant"),
    lambda mode: mode.qrels is not None,
    "nothing is measured without --qrels",
)


@command("report", example="sidecar report run.trec.first-stage run.trec --qrels qrels.txt --output report.html")
@takes(*FIELDS, conditions=[_JUDGED])
def report_command(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Runs in TREC or MS MARCO format, or candidate lists. The first is the baseline."),
    ],
    output: Annotated[
        Path,
        typer.Option(dir_okay=False, help="Page to write (.html); tables (.md, .tex, .csv) are written beside it."),
    ],
    qrels: Annotated[
        Path | None,
        typer.Option(help="Relevance judgements: a TREC or BEIR file, or a name. Unset: only differences are shown."),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Measures, by their names in ir-measures; the first decides which queries are shown.")
    ] = "nDCG@10,RR@10,AP,R@100",
    judged_queries: Annotated[
        Judged, typer.Option(help="Average over all judged queries (qrels), or only over those in a run (run).")
    ] = Judged.QRELS,
    relevant: Annotated[
        int, typer.Option(min=1, help="Lowest grade that counts as relevant in the figures of recall and scores.")
    ] = 1,
    topics: Annotated[Path | None, typer.Option(help=f"Texts of the queries: {TOPICS}.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Texts of the documents that no candidate list holds. May be repeated.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Name of a run on the page. Repeated, one for each run in order.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Comparison of runs",
    examples: Annotated[
        int, typer.Option(min=0, max=50, help="Queries shown for each run: so many helped, and so many hurt.")
    ] = 3,
    figures: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder to write each figure to, as an SVG file.")
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    settings: Settings,
) -> None:
    """Write a page that compares runs: quality, tests, gains by query, recall, scores, and queries side by side.

    The page needs no network and no script. Without judgements it shows how the runs differ.
    """
    from sidecar.experiments.qrels import read_qrels
    from sidecar.report.report import Request

    files = ReportFiles(output, figures)
    files.check(force=force)
    inputs = [*(("run", path) for path in runs), *(("corpus", path) for path in corpus or [])]
    inputs += [(part, path) for part, path in (("qrels", qrels), ("topics", topics)) if path is not None]
    request = Request(
        runs,
        labels=label or (),
        qrels=None if qrels is None else read_qrels(qrels),
        measures=metrics,
        of_runs=judged_queries is Judged.RUN,
        level=relevant,
        topics=topics,
        corpora=corpus or (),
        fields=settings.as_fields(),
        examples=examples,
        title=title,
    )
    files.write(request, inputs)
