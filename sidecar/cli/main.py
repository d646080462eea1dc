"""The entry point: runs a subcommand, and prints an error as one message."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.markup import escape

from sidecar.cli.app import app
from sidecar.cli.terminal import message_console, print_every_character
from sidecar.core.errors import ConfigurationError, SidecarError
from sidecar.namesakes import find_namesake


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error is one message on stderr and exit status 1, with `--debug` a traceback too."""
    words = sys.argv[1:] if arguments is None else arguments
    console = message_console()
    print_every_character(sys.stdout)
    try:
        refuse_namesake()
        refuse_other_encodings(words)
        with ending_in_order():
            app(words, obj=words, prog_name="sidecar")
    except BrokenPipeError:
        sys.exit(1)  # the reader of the output has closed it
    except SidecarError as error:
        if "--debug" in words:
            raise
        console.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
        if error.remedy:
            console.print(escape(error.remedy), soft_wrap=True)
        sys.exit(1)
    except Exception as error:
        if "--debug" in words:
            raise
        console.print(
            f"[bold red]unexpected error:[/] {escape(type(error).__name__)}: {escape(str(error))}",
            highlight=False,
            soft_wrap=True,
        )
        console.print("This is a bug of rerank-sidecar. `sidecar --debug …` shows where it happened.", soft_wrap=True)
        sys.exit(1)


def refuse_other_encodings(words: Iterable[str]) -> None:
    """Raise `ConfigurationError` if a word is no text, as a file name in Latin-1: no manifest or page can hold it."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(word).decode("utf-8", "backslashreplace")
            raise ConfigurationError(
                f"'{shown}' on the command line is not UTF-8.",
                remedy="Rename the file, or give it a link with another name; a query is typed in UTF-8.",
            ) from None


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: incomplete files are removed, and a long run says what it keeps."""

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        sys.exit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread, where no signal arrives
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def refuse_namesake() -> None:
    """Raise `SidecarError` if a foreign package has the name of one of ours."""
    if namesake := find_namesake():
        raise SidecarError(namesake.message, remedy=namesake.remedy)
