"""`sidecar doctor`: check the installation, and say what is missing and how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from sidecar.cli import doctor_checks as check
from sidecar.cli.app import command
from sidecar.cli.effects import Condition, SearchEngine
from sidecar.cli.options import FIELDS, OPENSEARCH, takes
from sidecar.cli.progress import working
from sidecar.cli.terminal import print_results
from sidecar.core.errors import SidecarError
from sidecar.settings import Settings

# The settings of a model that are checked: where it is, and what would run it.
LOCATED = ("model", "base_model", "revision", "base_revision", "device", "dtype")

State = Literal["fine", "to fetch", "to choose", "missing", "unasked"]
SHOWN = {
    "fine": "[green]fine[/]",
    "to fetch": "[yellow]to fetch[/]",
    "to choose": "[yellow]to choose[/]",
    "missing": "[red]missing[/]",
    "unasked": "[dim]not checked[/]",
}

# Findings that are never missing.
_INFORMATION = {"rerank-sidecar", "extras", "engines"}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: its state, what was found, and what to do if it is missing."""

    name: str
    state: State
    found: str
    remedy: str = ""


CONDITIONS = (
    Condition(FIELDS, lambda mode: mode.index is not None, "fields are checked only with --index"),
    Condition(
        OPENSEARCH,
        lambda mode: mode.engine is SearchEngine.OPENSEARCH or "opensearch_url" in mode.set,
        "OpenSearch is checked only with --url",
    ),
    Condition(
        ("engine",),
        lambda mode: mode.engine is SearchEngine.OPENSEARCH or mode.index is not None,
        "an index is checked only with --index",
    ),
)


@command("doctor", example="sidecar doctor --index indexes/docs")
@takes(*LOCATED, *FIELDS, *OPENSEARCH, conditions=CONDITIONS, opensearch_url="--url")
def doctor_command(
    engine: Annotated[
        SearchEngine, typer.Option(help="Engine of the index. Unset: OpenSearch if --url is set, else Lucene.")
    ],
    index: Annotated[
        str | None, typer.Option(help="Index to check: directory of a Lucene index, or name of an OpenSearch index.")
    ] = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print what each check found.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    settings: Settings,
) -> None:
    """Check all that reranking needs, and say how to fix what is missing.

    The exit status is 1 if reranking can't run.
    """
    findings = list(examine(settings, index, engine))
    can_run = can_rerank(findings)
    if as_json:
        report = {"can_rerank": can_run, "findings": [asdict(finding) for finding in findings]}
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(findings, can_run, verbose=verbose)
    raise typer.Exit(0 if can_run else 1)


def can_rerank(findings: list[Finding]) -> bool:
    """Return whether a model can score, at least one engine works, and nothing that was asked for is missing."""
    states = {finding.name: finding.state for finding in findings}
    engines = (states["Lucene"], states["OpenSearch"])
    asked = (states["OpenSearch"], states["index"])
    ready = states["device"] == "fine" and states["model"] in {"fine", "to fetch"}
    return ready and "fine" in engines and "missing" not in asked


def examine(settings: Settings, index: str | None, engine: SearchEngine) -> Iterator[Finding]:
    """Check everything that reranking needs: locate the model, start the JVM, send requests to OpenSearch."""
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
        with working(f"checking {name}"):
            return Finding(name, "fine", look())
    except check.NotFetchedYet as error:
        return Finding(name, "to fetch", error.message, error.remedy)
    except check.FieldsToChoose as error:
        return Finding(name, "to choose", error.message, error.remedy)
    except SidecarError as error:
        return Finding(name, "missing", error.message, error.remedy)


def _print(findings: list[Finding], can_run: bool, *, verbose: bool) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        if finding.name in _INFORMATION and not verbose:
            continue
        detailed = verbose or finding.state != "fine"
        remedy = f"\n[dim]{escape(finding.remedy)}[/]" if finding.remedy else ""
        table.add_row(finding.name, SHOWN[finding.state], escape(finding.found) + remedy if detailed else "")
    result = "Reranking can run." if can_run else "[red]Reranking can't run:[/] fix what is missing above."
    more = "" if verbose else " sidecar doctor --verbose prints what each check found."
    print_results(table, f"\n{result}{more}")
