"""The command `sidecar`, the groups of its subcommands, and the options that come before them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandFunctionType

from sidecar.cli.help_pages import command_help, group_help
from sidecar.version import __version__


class Group(StrEnum):
    """The groups of commands in the help, in its order: what a person wants to do."""

    TRY = "Try"
    SEARCH = "Search"
    SERVE = "Serve"
    EXPERIMENT = "Experiment"
    TRAIN = "Train"
    OPERATE = "Operate"


# The commands of a group, in the order of the help and of docs/cli.md.
GROUPS = {
    Group.TRY: ("demo",),
    Group.SEARCH: ("index", "search"),
    Group.SERVE: ("serve", "install-pipeline", "mcp"),
    Group.EXPERIMENT: (
        "run",
        "rerank",
        "merge",
        "sweep",
        "evaluate",
        "compare",
        "judge",
        "report",
        "reproduce",
        "bench",
    ),
    Group.TRAIN: ("mine", "teach", "train", "fit-calibration"),
    Group.OPERATE: ("doctor", "settings"),
}


class _Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(command_help(self, ctx))


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return [name for names in GROUPS.values() for name in names if name in self.commands]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(group_help(self, ctx))


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # The help is laid out by `help_pages`, and a message about a wrong option is one line, without a frame.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rerank the first-stage hits of OpenSearch or Lucene with a cross-encoder, in the engine's own format.",
)


def command(name: str, *, example: str) -> Callable[[CommandFunctionType], CommandFunctionType]:
    """Register a subcommand in the group that lists it; `example` is a command line that works."""
    [group] = [group for group, names in GROUPS.items() if name in names]
    return app.command(name, cls=_Command, rich_help_panel=group.value, epilog=example)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"rerank-sidecar {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Rerank the first-stage hits of OpenSearch or Lucene with a cross-encoder, in the engine's own format."""
    del debug, version  # `main` reads the one, its callback the other
