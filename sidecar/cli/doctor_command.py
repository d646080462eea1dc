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
from sidecar.cli.effects import Condition, SearchEngine
from sidecar.cli.options import FIELDS, OPENSEARCH, takes
from sidecar.core.errors import SidecarError
from sidecar.settings import Settings

# What of a model's settings is looked at: where it is, and what would run it.
LOCATED = ("model", "base_model", "revision", "base_revision", "device", "dtype")

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


CONDITIONS = (
    Condition(FIELDS, lambda mode: mode.index is not None, "fields are looked for in an index (--index)"),
    Condition(
        OPENSEARCH,
        lambda mode: mode.engine is SearchEngine.OPENSEARCH or "opensearch_url" in mode.set,
        "no OpenSearch is asked (--url)",
    ),
    Condition(
        ("engine",),
        lambda mode: mode.engine is SearchEngine.OPENSEARCH or mode.index is not None,
        "there is no index to look into (--index)",
    ),
)


@app.command("doctor")
@takes(*LOCATED, *FIELDS, *OPENSEARCH, conditions=CONDITIONS, opensearch_url="--url")
def doctor_command(
    engine: Annotated[
        SearchEngine, typer.Option(help="Which engine holds the index; unset: OpenSearch with a URL, else Lucene.")
    ],
    index: Annotated[str | None, typer.Option(help="Index that must be searchable.")] = None,
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


def examine(settings: Settings, index: str | None, engine: SearchEngine) -> Iterator[Finding]:
    """Everything the main job needs, each looked at for real: the model located, the JVM started, OpenSearch asked."""
    yield Finding("rerank-sidecar", "fine", check.check_python())
    yield Finding("extras", "fine", check.check_extras())
    yield _look("device", lambda: check.check_device(settings))
    yield Finding("engines", "fine", check.check_engines())
    yield _look("model", lambda: check.check_model(settings))
    yield _look("Lucene", check.check_lucene)
    in_opensearch = engine is SearchEngine.OPENSEARCH
    if in_opensearch or "opensearch_url" in settings.model_fields_set:
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
