"""The command `sidecar` and the options that come before its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from sidecar.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Rerank the first-stage hits of OpenSearch or Lucene with a cross-encoder, in the engine's own format.",
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"rerank-sidecar {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Rerank the first-stage hits of OpenSearch or Lucene with a cross-encoder, in the engine's own format."""
    del debug, version  # `main` reads the one, its callback the other
