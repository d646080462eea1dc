"""`sidecar settings`: every setting with its variable, present value and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sidecar.cli.app import command
from sidecar.cli.setting_sections import SECTIONS
from sidecar.cli.terminal import print_results, result_console
from sidecar.settings import Settings, load_settings, variable

# Columns that a table of three needs: the longest names, a value, and room for the meaning.
_TABLE_WIDTH = 110


@command("settings", example="sidecar settings")
def settings_command(*, as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table.")) -> None:
    """List every setting: its environment variable, its present value, and its meaning."""
    values = load_settings().model_dump(mode="json")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(values), indent=2).decode())
        return
    console = result_console()
    print_results(*_page(values, console.width), console=console)


def _page(values: Mapping[str, Any], width: int) -> list[RenderableType]:
    parts: list[RenderableType] = []
    longest = max(len(variable(name)) for name in Settings.model_fields)
    for section, names in SECTIONS.items():
        parts.append(Text(section, style="bold"))
        if width < _TABLE_WIDTH:
            for name in names:
                parts += [
                    Text.assemble((variable(name), "cyan"), " = ", _shown(values[name])),
                    Padding(Settings.model_fields[name].description or "", (0, 0, 0, 4)),
                ]
        else:
            table = Table(box=None, pad_edge=False, show_header=False)
            table.add_column(min_width=longest, no_wrap=True, style="cyan")
            table.add_column(min_width=24, max_width=40, overflow="fold")
            table.add_column()
            for name in names:
                description = escape(Settings.model_fields[name].description or "")
                table.add_row(variable(name), escape(_shown(values[name])), description)
            parts.append(table)
        parts.append(Text())
    parts.append("In sidecar.toml the names are in lower case and without SIDECAR_. SIDECAR_CONFIG names another file.")
    return parts


def _shown(value: object) -> str:
    if value in (None, [], {}, ""):
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)
