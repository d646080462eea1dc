"""Consoles for results (stdout) and for messages (stderr).

On a terminal, lines are fitted to its width. Into a pipe or a file go whole lines without control characters.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.table import Table

# Columns of a line that does not go to a terminal: more than any row needs, so that no line is broken.
_UNBROKEN = 100_000
# Columns below which a table of several columns can't be read, and is printed as a list instead.
NARROW = 72


def is_terminal(stream: IO[str] | Any) -> bool:
    """Return whether the stream is a terminal, whatever variables such as FORCE_COLOR say."""
    with suppress(AttributeError, ValueError):  # a stream of a test, or a closed one
        return bool(stream.isatty())
    return False


def print_every_character(stream: IO[str] | Any) -> None:
    r"""Let a stream print what its encoding lacks as `\uXXXX`, which JSON reads, too, instead of failing."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors=_ESCAPES)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


_ESCAPES = "sidecar-escapes"
codecs.register_error(_ESCAPES, _escaped)


def result_console() -> Console:
    """Return the console for results on stdout."""
    console = Console(highlight=False)
    if not is_terminal(console.file):
        console.width = _UNBROKEN
    return console


def message_console() -> Console:
    """Return the console for messages on stderr; it is interactive only on a terminal that can move its cursor."""
    console = Console(stderr=True, highlight=False)
    if not is_terminal(console.file):
        console.is_interactive = False
        console.width = _UNBROKEN
    return console


def print_results(*parts: RenderableType, console: Console | None = None) -> None:
    """Print texts and tables; a row that goes to a pipe is one line without trailing spaces."""
    console = console or result_console()
    if console.width < _UNBROKEN:
        for part in parts:
            console.print(part)
        return
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def plain_table(*headings: str, right: Sequence[str] = ()) -> Table:
    """Make a table without lines; the headings named in `right` are of columns of numbers."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        if heading in right:
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            table.add_column(heading, overflow="fold")
    return table


def say(message: str) -> None:
    """Print a message on stderr, in one line however long."""
    message_console().print(message, soft_wrap=True, markup=False)
