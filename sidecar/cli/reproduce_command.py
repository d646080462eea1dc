"""`sidecar reproduce`: repeat a published experiment, or run one of your own, from the corpus to the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sidecar.cli.app import command
from sidecar.cli.effects import Condition
from sidecar.cli.factories import build_reranker
from sidecar.cli.long_run import keep_finished
from sidecar.cli.model_fetch import fetch_missing
from sidecar.cli.options import BM25, FIELDS, FUSION, MODEL, takes
from sidecar.cli.progress import working
from sidecar.cli.report_files import ReportFiles
from sidecar.cli.reproduce_runs import Runs, estimated_seconds
from sidecar.cli.reproduce_task import build_missing_index, find_task, fixed, opened, to_fetch
from sidecar.cli.terminal import is_terminal, plain_table, print_results, say
from sidecar.core.errors import ConfigurationError
from sidecar.core.fusion import Method
from sidecar.core.model_spec import is_remote
from sidecar.experiments.published import MEASURE, WINDOW, Experiment
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.report.run_lists import Manifest

_FIRST_STAGE = "first stage"
_SEARCHED = Condition((*BM25, "threads"), lambda mode: mode.candidates is None, "nothing is searched with --candidates")
_LOCAL = Condition(("readings",), lambda mode: not is_remote(mode.model or ""), "a remote model is read by its server")
_OWN = Condition(BM25, lambda mode: Path(mode.experiment).is_dir(), "a known experiment has its own k1 and b")


@command("reproduce", example="sidecar reproduce dl19 --model e5-small --output dl19")
@takes("window", "score_file", *MODEL, *FUSION, *BM25, *FIELDS, conditions=[_SEARCHED, _OWN, _LOCAL])
def reproduce_command(
    experiment: Annotated[
        str,
        typer.Argument(help="dl19, dl20, beir-NAME, or a folder with corpus, queries and judgements in BEIR's layout."),
    ],
    output: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the runs, the report, and the index of a corpus.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder with the experiment's corpus, queries and judgements."),
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="Candidate lists with texts, instead of a search for the first stage.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="Relevance judgements, instead of those of the folder or the experiment.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads for the first stage.")] = 1,
    *,
    readings: Annotated[
        bool,
        typer.Option(
            "--readings", help="Also run the poolings and truncations that DeAR's card and code disagree about."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without a question.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an experiment that was interrupted.")] = False,
    settings: Settings,
) -> None:
    """Run an experiment from the corpus to the report, and compare it with the published figures.

    It says first what is downloaded and how long it takes, and asks. A folder is indexed with Lucene.
    """
    from sidecar.experiments.evaluate import parse_measures
    from sidecar.experiments.qrels import read_qrels
    from sidecar.report.report import Request

    task = find_task(experiment, output, data=data, candidates=candidates, qrels=qrels)
    settings = fixed(task, settings)
    page, runs = ReportFiles(output / "report.html"), Runs(output, settings, resume=resume, force=force)
    # With --resume a finished run is kept if it was made in the same way, and the report is made again.
    page.check(force=force or resume)
    keep_finished(runs.first_stage, runs.output(""), force=force or resume)
    parse_measures(MEASURE)  # it needs a library that is not installed everywhere
    fetched = to_fetch(task, settings.as_model())
    if fetched:
        say(f"To be downloaded: {'; '.join(fetched)}.")
        _ask(yes=yes)
    with working(f"reading the judgements of {task.qrels}"):
        judgements = read_qrels(task.qrels)
    fetch_missing(settings.as_model())
    runs.make_folder()
    build_missing_index(task)
    variants = runs.variants(readings=readings)
    with opened(task, settings, threads) as first_stage:
        # The model as it is computes the first run; before the next model is loaded it is let go.
        loaded = [build_reranker(settings, remember=False).scorer]
        seconds = estimated_seconds(first_stage, settings.window, loaded[0]) * len(variants)
        known = ", less for scores in the score file" if settings.score_file else ""
        say(f"{first_stage.queries} queries, up to {settings.window} passages each: about {_in_words(seconds)}{known}.")
        if task.experiment is not None and not fetched:
            _ask(yes=yes)
        for name, chosen in variants.items():
            say(runs.finish(name, chosen, task, first_stage, scorer=loaded.pop() if loaded else None))
    request = Request(
        [runs.first_stage, *map(runs.output, variants)],
        labels=[_FIRST_STAGE, *(f"{settings.model} {name}".strip() for name in variants)],
        qrels=judgements,
        fields=settings.as_fields(),
        title=task.name,
    )
    report = page.write(request, [*(("run", path) for path in request.runs), ("qrels", task.qrels)])
    found = [(run.name, one.values[MEASURE]) for run, one in zip(report.runs, report.evaluations, strict=True)]
    print_results(_beside_published(found, task.experiment, settings.model))
    for line in _remarks(task.experiment, settings, report.runs[1].manifest):
        say(line)


def _ask(*, yes: bool) -> None:
    """Ask whether to go on. Raises `ConfigurationError` if there is no terminal to ask at."""
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise ConfigurationError("this needs a yes, and there is no terminal to ask at.", remedy="Add --yes.")
    typer.confirm("Continue?", abort=True, err=True)


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _beside_published(found: Sequence[tuple[str, float]], experiment: Experiment | None, model: str) -> Table:
    """Return our figures beside the published ones, where there are any."""
    from sidecar.report.report import signed

    table = plain_table("run", MEASURE, "published", "difference", "source", right=(MEASURE, "published", "difference"))
    for place, (name, value) in enumerate(found):
        known = None if experiment is None else experiment.models.get(model) if place else experiment.first_stage
        published = (
            ("–", "–", "") if known is None else (f"{known.value:.4f}", signed(value - known.value), known.source)
        )
        table.add_row(escape(name), f"{value:.4f}", *map(escape, published))
    return table


def _remarks(experiment: Experiment | None, settings: Settings, manifest: Manifest | None) -> Iterator[str]:
    """Say what a reader must know to compare our figures with the published ones."""
    if experiment is None:
        return
    for other in (*experiment.models.values(), *experiment.others):
        yield f"published: {other.system}: {other.value:.4f} ({other.source})"
    fusion = manifest.model.get("fusion") if manifest else None
    if settings.window != WINDOW or (isinstance(fusion, dict) and fusion.get("method") != Method.RERANK):
        yield f"The published figures are of the model alone over {WINDOW} hits; this run has another window or fusion."
    if settings.model in experiment.models:
        placement = manifest.model.get("placement") if manifest else "unknown"
        yield (
            "The model's card cuts query and passage together and pools the last token; the authors' scripts cut them "
            "apart and pool the last slot. It is not known which of them the published figure belongs to: --readings "
            f"runs all four. The authors computed in float16; this run: {placement}."
        )
