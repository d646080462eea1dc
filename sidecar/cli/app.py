"""The command `sidecar`: its subcommands by group, each imported when it is asked for, and the options before them."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_from_info
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


@dataclass(frozen=True, slots=True)
class Listed:
    """A subcommand in the help of `sidecar`: the module that declares it, and the first sentence of its own help."""

    module: str
    summary: str


# The commands of a group, in the order of the help and of docs/cli.md.
GROUPS = {
    Group.TRY: {
        "demo": Listed(
            "demo_command",
            "Index the documentation of the installed Python, and rerank the hits of BM25 for a few questions.",
        ),
    },
    Group.SEARCH: {
        "index": Listed(
            "index_command", "Index a corpus with Lucene or OpenSearch; the index appears once it is complete."
        ),
        "search": Listed("search_command", "Search an index, rerank the first hits, and print them."),
    },
    Group.SERVE: {
        "serve": Listed(
            "serve_command",
            "Serve a proxy in front of OpenSearch that reranks searches, and a rerank API on a second port.",
        ),
        "install-pipeline": Listed(
            "install_command", "Install a search pipeline in OpenSearch whose rerank processor calls the sidecar."
        ),
        "mcp": Listed(
            "mcp_command",
            "Offer search and rerank to agents as tools of an MCP server on stdin and stdout (extra `mcp`).",
        ),
    },
    Group.EXPERIMENT: {
        "run": Listed("run_command", "Search an index for many queries, rerank the hits and write a run."),
        "rerank": Listed("rerank_command", "Rerank candidate lists, or a run with its corpus and queries."),
        "merge": Listed("merge_command", "Join the shards of `run`, `rerank` or `teach` to the output of one process."),
        "sweep": Listed(
            "sweep_command",
            "Try first stages, models, windows, fusions and generators, and choose the best by some of the judged "
            "queries.",
        ),
        "evaluate": Listed(
            "evaluate_command",
            "Evaluate runs against relevance judgements; a query without results counts as 0.",
        ),
        "compare": Listed(
            "compare_command",
            "Show how two runs differ, without judgements: overlap, the queries that change most, and their hits side "
            "by side.",
        ),
        "judge": Listed(
            "judge_command",
            "Export the first hits of runs to be judged, let a model judge them, or read the grades as qrels.",
        ),
        "report": Listed(
            "report_command",
            "Write a page that compares runs: quality, tests, gains by query, recall, scores, and queries side by "
            "side.",
        ),
        "reproduce": Listed(
            "reproduce_command",
            "Run an experiment from the corpus to the report, and compare it with the published figures.",
        ),
        "bench": Listed(
            "bench_command",
            "Measure the speed of the scoring engines and of other libraries on the same weights and token ids.",
        ),
    },
    Group.TRAIN: {
        "mine": Listed(
            "mine_command", "Write training data: relevant passages, and hard negatives that BM25 ranks high."
        ),
        "teach": Listed(
            "teach_command",
            "Score the passages of training files with a model, the teacher, for `sidecar train --teacher-scores`.",
        ),
        "train": Listed(
            "train_command", "Train a reranker on judged queries, and on scores of teachers if they are given."
        ),
        "fit-calibration": Listed(
            "calibration_command",
            "Fit a calibration, sigmoid(a·score + b), on judged pairs, and store it with the checkpoint.",
        ),
    },
    Group.OPERATE: {
        "doctor": Listed("doctor_command", "Check all that reranking needs, and say how to fix what is missing."),
        "settings": Listed(
            "settings_command", "List every setting: its environment variable, its present value, and its meaning."
        ),
    },
}
_LISTED = {name: listed for commands in GROUPS.values() for name, listed in commands.items()}


class _OnDemand(Mapping[str, Any]):
    """The subcommands by their names. A module is imported when its command is asked for, since most load settings."""

    def __getitem__(self, name: str) -> Any:
        if name not in _LISTED:
            raise KeyError(name)
        return _subcommand(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_LISTED)

    def __len__(self) -> int:
        return len(_LISTED)


@functools.cache
def _subcommand(name: str) -> Any:
    importlib.import_module(f"sidecar.cli.{_LISTED[name].module}")
    [found] = [one for one in app.registered_commands if one.name == name]
    return get_command_from_info(found, pretty_exceptions_short=False, rich_markup_mode=None)


class _Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(command_help(self, ctx))


class _Commands(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": cast(dict[str, Any], _OnDemand())})

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        shown = {
            group.value: [(name, listed.summary) for name, listed in commands.items()]
            for group, commands in GROUPS.items()
        }
        formatter.write(group_help(self, ctx, shown))


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
    """Register a subcommand that `GROUPS` lists; `example` is a command line that works."""
    return app.command(name, cls=_Command, epilog=example)


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
