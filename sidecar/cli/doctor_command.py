"""`sidecar doctor`: what is there, what is missing, and how to mend it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sidecar.cli.app import app
from sidecar.cli.options import MODEL, OPENSEARCH, takes
from sidecar.cli.parts import build_opensearch_client
from sidecar.errors import GatedModel, ModelError, SidecarError
from sidecar.settings import Settings
from sidecar.version import __version__

State = Literal["fine", "missing", "unasked"]
SHOWN = {"fine": "[green]fine[/]", "missing": "[red]missing[/]", "unasked": "[dim]not asked[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its state, what was found, and what to do where it is missing."""

    name: str
    state: State
    found: str
    remedy: str = ""


@app.command("doctor")
@takes(*MODEL, *OPENSEARCH, opensearch_url="--url")
def doctor_command(
    index: Annotated[str | None, typer.Option(help="OpenSearch index that must be searchable.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    settings: Settings,
) -> None:
    """Look at Python, model, device, Java and OpenSearch; exit status 1 if the main job can't run."""
    findings = list(examine(settings, index))
    can_run = can_rerank(findings)
    if as_json:
        report = {"can_rerank": can_run, "findings": [asdict(finding) for finding in findings]}
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(findings, can_run)
    raise typer.Exit(0 if can_run else 1)


def can_rerank(findings: list[Finding]) -> bool:
    """Whether a model can score, and there is at least one engine, and none that was asked for is missing."""
    states = {finding.name: finding.state for finding in findings}
    engines = (states["Lucene"], states["OpenSearch"])
    return states["model"] == states["device"] == "fine" and "fine" in engines and states["OpenSearch"] != "missing"


def examine(settings: Settings, index: str | None) -> Iterator[Finding]:
    """Everything the main job needs, each looked at for real: the model located, the JVM started, OpenSearch asked."""
    yield Finding("rerank-sidecar", "fine", f"{__version__} on Python {platform.python_version()}")
    yield _look("device", lambda: _device(settings))
    yield _look("model", lambda: _model(settings))
    yield _look("Lucene", _lucene)
    if "opensearch_url" not in settings.model_fields_set:
        yield Finding("OpenSearch", "unasked", "no --url and no SIDECAR_OPENSEARCH_URL")
    else:
        yield _look("OpenSearch", lambda: _opensearch(settings, index))


def _look(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "fine", check())
    except SidecarError as error:
        return Finding(name, "missing", error.message, error.remedy)


def _device(settings: Settings) -> str:
    from sidecar.scoring.checkpoint import Placement

    return Placement(settings.device, settings.dtype).describe()


def _model(settings: Settings) -> str:
    from sidecar.scoring.adapter import choose_base, is_adapter, read_config
    from sidecar.scoring.loading import locate

    located = locate(settings.model, revision=settings.revision, offline=True)
    if not is_adapter(located.directory):
        return f"{settings.model} in {located.directory}"
    base = choose_base(read_config(located.directory), settings.base_model)
    try:
        found = locate(base, revision=settings.base_revision, offline=True)
    except GatedModel:
        raise
    except ModelError as error:
        raise ModelError(
            f"the adapter {settings.model} is here, its base {base} is not: {error.message}",
            remedy="It is fetched at the first use, if the hub can be reached. Llama needs its licence accepted on the "
            f"hub's page of {base!r} and a token (`hf auth login`, or HF_TOKEN).",
        ) from None
    return f"{settings.model} on {base} in {found.directory}"


def _lucene() -> str:
    from connectors.pyserini.jvm import start_jvm

    version = start_jvm()("java.lang.System").getProperty("java.version")
    return f"pyserini {importlib.metadata.version('pyserini')} on Java {version}"


def _opensearch(settings: Settings, index: str | None) -> str:
    from connectors.opensearch.probe import probe

    found = probe(build_opensearch_client(settings), index)
    if not found.searches:
        raise SidecarError(
            f"OpenSearch answers, but this account may not search {index or 'there'}.",
            remedy="Give the account a role with `read` on the index.",
        )
    plugins = "hidden from this account" if found.plugins is None else ", ".join(found.plugins) or "none"
    return f"version {found.version or 'hidden from this account'}; plugins: {plugins}"


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
