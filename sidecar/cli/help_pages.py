"""The help of a command: in the width of a terminal; in a pipe a line for each option, so that grep finds it whole."""

from __future__ import annotations

import inspect
import shutil
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from rich.console import Console
from rich.text import Text

from sidecar.cli.terminal import NARROW, is_terminal

# Widest terminal that the text is spread over: longer lines are hard to read.
_WIDEST = 120
_INDENT = 2


def group_help(group: Any, context: Any, commands: Mapping[str, list[tuple[str, str]]]) -> str:
    """Return the help of `sidecar` itself: its commands by panel, each with the first sentence of its help."""
    page = _Page()
    page.text(context.get_usage())
    page.text(group.help)
    for panel, entries in commands.items():
        page.entries(panel, entries)
    kinds = kinds_of(group)
    page.entries("Options", [(flags_of(one, kinds), words_of(one, kinds)) for one in group.get_params(context)])
    page.text("sidecar COMMAND --help shows the options of a command, and an example.")
    return str(page)


def command_help(command: Any, context: Any) -> str:
    """Return the help of a subcommand: what it does, an example, its arguments and its options by panel."""
    page = _Page()
    page.text(context.get_usage())
    for paragraph in command.help.split("\n\n"):
        page.text(" ".join(paragraph.split()))
    page.verbatim("Example", command.epilog)
    kinds = kinds_of(command)
    panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(context):
        default = "Options" if parameter.param_type_name == "option" else "Arguments"
        panel = getattr(parameter, "rich_help_panel", None) or default
        panels.setdefault(panel, []).append((flags_of(parameter, kinds), words_of(parameter, kinds)))
    for panel, entries in panels.items():
        page.entries(panel, entries)
    return str(page)


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a parameter: a word for its value (none for a flag), its choices, and its range."""

    word: str = ""
    choices: tuple[str, ...] = ()
    span: str = ""


def kinds_of(command: Any) -> dict[str, Kind]:
    """Return the type of each parameter of a command, by the annotations of its function."""
    parameters = inspect.signature(command.callback, eval_str=True).parameters.values()
    return {parameter.name: _kind(parameter.annotation) for parameter in parameters}


def flags_of(parameter: Any, kinds: Mapping[str, Kind]) -> str:
    """Return the flags of an option with a word for its value, or the name of an argument."""
    if parameter.param_type_name != "option":
        return str(parameter.name).upper()
    # The order of -h and --help is not fixed.
    given = sorted(parameter.opts, key=lambda flag: not flag.startswith("--"))
    flags = ", ".join([*given, *parameter.secondary_opts])
    return f"{flags} {kinds.get(parameter.name, Kind()).word}".rstrip()


def words_of(parameter: Any, kinds: Mapping[str, Kind]) -> str:
    """Return the meaning of an option: its help, allowed values and default; a setting's help has all of them."""
    kind = kinds.get(parameter.name, Kind())
    parts = [parameter.help or "Show this help."]
    if kind.choices and parameter.show_choices:
        parts.append(f"One of {', '.join(kind.choices)}.")
    if kind.span:
        parts.append(f"{kind.span}.")
    if parameter.required:
        parts.append("Required.")
    elif parameter.show_default and parameter.default not in (None, False, ...) and not callable(parameter.default):
        parts.append(f"Default: {getattr(parameter.default, 'value', parameter.default)}.")
    return " ".join(parts)


def _kind(annotation: Any) -> Kind:
    information: list[Any] = []
    if get_origin(annotation) is Annotated:
        annotation, *information = get_args(annotation)
    while get_origin(annotation) in {types.UnionType, Union, list}:
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if not isinstance(annotation, type) or annotation is bool:
        return Kind()
    if issubclass(annotation, Enum):
        return Kind("NAME", tuple(str(one.value) for one in annotation))
    bounds = [(one.min, one.max) for one in information if hasattr(one, "min")]
    words = {int: "INTEGER", float: "NUMBER", Path: "PATH", str: "TEXT"}
    return Kind(words.get(annotation, ""), span=_span(*bounds[0]) if bounds else "")


def _span(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"{least} to {most}"
    return f"At least {least}" if least is not None else f"At most {most}" if most is not None else ""


class _Page:
    """Lays out a page of help for stdout."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._width: int | None = None
        if is_terminal(sys.stdout):
            self._width = min(shutil.get_terminal_size().columns, _WIDEST)
        self._lines: list[Text] = []

    def text(self, text: str) -> None:
        self._lines += [*map(Text, self._wrapped(text, self._width)), Text()]

    def verbatim(self, heading: str, line: str) -> None:
        """Add a line that is never wrapped, so that it can be copied."""
        self._lines += [Text(heading, style="bold"), Text(" " * _INDENT + line, style="cyan"), Text()]

    def entries(self, heading: str, entries: list[tuple[str, str]]) -> None:
        if entries:
            self._lines += [Text(heading, style="bold"), *self._rows(entries), Text()]

    def _rows(self, entries: list[tuple[str, str]]) -> Iterator[Text]:
        column = min(max(len(name) for name, _ in entries), 26) + 2 * _INDENT
        stacked = self._width is not None and self._width < NARROW
        indent = 3 * _INDENT if stacked else column
        for name, words in entries:
            if self._width is not None and _INDENT + len(name) >= self._width:
                *names, name = name.split(", ")  # noqa: PLW2901  the last of several flags stands before the text
                yield from (Text(" " * _INDENT).append(f"{one},", style="cyan") for one in names)
            head = Text(" " * _INDENT).append(name, style="cyan")
            body = self._wrapped(words, None if self._width is None else self._width - indent)
            if not stacked and len(head) + _INDENT <= column and body:
                head.append(" " * (column - len(head))).append(body.pop(0))
            elif self._width is None:
                head.append("  ").append(" ".join(body))
                body = []
            yield head
            yield from (Text(" " * indent + line) for line in body)

    @staticmethod
    def _wrapped(text: str, width: int | None) -> list[str]:
        if width is None:
            return [text]
        return textwrap.wrap(text, max(width - 1, 20), break_long_words=False, break_on_hyphens=False)

    def __str__(self) -> str:
        with self._console.capture() as captured:
            for line in self._lines:
                self._console.print(line, soft_wrap=True)
        return captured.get()
