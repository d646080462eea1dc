"""`sidecar settings`: every setting with its variable, value and meaning."""

from __future__ import annotations

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from sidecar.cli.app import app
from sidecar.settings import Settings, load_settings, variable


@app.command("settings")
def settings_command(*, as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table.")) -> None:
    """List every setting: its environment variable, its value here and now, and what it does."""
    values = load_settings().model_dump(mode="json")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(values), indent=2).decode())
        return
    table = Table("variable", "value", "meaning", box=None, pad_edge=False)
    for name, field in Settings.model_fields.items():
        shown = ",".join(values[name]) if isinstance(values[name], list) else str(values[name])
        table.add_row(variable(name), "unset" if values[name] is None else shown, field.description or "")
    Console().print(table)
    typer.echo("\nIn sidecar.toml the names are lower-case and without SIDECAR_; SIDECAR_CONFIG names another file.")
