"""`sidecar doctor`: what is there, what is missing, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sidecar.cli import doctor_checks as check
from sidecar.cli.app import app
from sidecar.cli.index_command import Engine
from sidecar.cli.options import FIELDS, MODEL, OPENSEARCH, takes
from sidecar.errors import SidecarError
from sidecar.settings import Settings

State = Literal["fine", "to fetch", "missing", "unasked"]
SHOWN = {
    "fine": "[green]fine[/]",
    "to fetch": "[yellow]to fetch[/]",
    "missing": "[red]missing[/]",
    "unasked": "[dim]not asked[/]",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its state, what was found, and what to do where it is missing."""

    name: str
    state: State
    found: str
    remedy: str = ""


@app.command("doctor")
@takes(*MODEL, *FIELDS, *OPENSEARCH, opensearch_url="--url")
def doctor_command(
    index: Annotated[
        str | None, typer.Option(help="Index that must be searchable: OpenSearch's with a URL, else a Lucene one.")
    ] = None,
    engine: Annotated[Engine | None, typer.Option(help="Which engine holds the index, whatever the URL.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    settings: Settings,
) -> None:
    """Look at all the main job needs, and say how to mend what is missing; exit status 1 if it can't run."""
    findings = list(examine(settings, index, engine))
    can_run = can_rerank(findings)
    if as_json:
        report = {"can_rerank": can_run, "findings": [asdict(finding) for finding in findings]}
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(findings, can_run)
    raise typer.Exit(0 if can_run else 1)


def can_rerank(findings: list[Finding]) -> bool:
    """Whether a model can score, and there is at least one engine, and nothing that was asked for is missing."""
    states = {finding.name: finding.state for finding in findings}
    engines = (states["Lucene"], states["OpenSearch"])
    asked = (states["OpenSearch"], states["index"])
    ready = states["device"] == "fine" and states["model"] in {"fine", "to fetch"}
    return ready and "fine" in engines and "missing" not in asked


def examine(settings: Settings, index: str | None, engine: Engine | None) -> Iterator[Finding]:
    """Everything the main job needs, each looked at for real: the model located, the JVM started, OpenSearch asked."""
    yield Finding("rerank-sidecar", "fine", check.check_python())
    yield Finding("extras", "fine", check.check_extras())
    yield _look("device", lambda: check.check_device(settings))
    yield Finding("engines", "fine", check.check_engines())
    yield _look("model", lambda: check.check_model(settings))
    yield _look("Lucene", check.check_lucene)
    has_url = "opensearch_url" in settings.model_fields_set
    in_opensearch = engine is Engine.OPENSEARCH or (engine is None and has_url)
    if has_url or in_opensearch:
        yield _look("OpenSearch", lambda: check.check_opensearch(settings, index if in_opensearch else None))
    else:
        yield Finding("OpenSearch", "unasked", "no --url and no SIDECAR_OPENSEARCH_URL")
    if index is None:
        yield Finding("index", "unasked", "no --index")
    else:
        look = check.check_opensearch_index if in_opensearch else check.check_lucene_index
        yield _look("index", lambda: look(settings, index))


def _look(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "fine", look())
    except check.NotFetchedYet as error:
        return Finding(name, "to fetch", error.message, error.remedy)
    except SidecarError as error:
        return Finding(name, "missing", error.message, error.remedy)


def _print(findings: list[Finding], can_run: bool) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        remedy = f"\n[dim]{escape(finding.remedy)}[/]" if finding.remedy else ""
        table.add_row(finding.name, SHOWN[finding.state], escape(finding.found) + remedy)
    console.print(table)
    console.print(
        "\nThe main job can run." if can_run else "\n[red]The main job can't run:[/] mend what is missing above."
    )
