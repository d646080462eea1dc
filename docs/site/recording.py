"""Draws what a command shows in a terminal as an SVG: `python -m docs.site.recording FILE.svg -- COMMAND …`.

The picture names fonts of the reader's machine and loads nothing. Lines with times are left out, because they are those
of the machine that draws; so is what follows the first empty line after them. The command must succeed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 100
_TIMES = re.compile(r"\b\d+(\.\d+)? m?s\b")
# rich's own template loads a font from elsewhere.
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_FAMILY = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def picture(command: list[str], output: str) -> str:
    """Return the SVG of a terminal with the command and its output, which may hold ANSI's colours."""
    shown = Text.from_ansi("\n".join(without_times(output.splitlines())))
    width = max(COLUMNS, *(line.cell_len for line in shown.split()))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True, legacy_windows=False)
        console.print(Text(f"$ {shlex.join(command)}", style="bold"))
        console.print(shown)
        # A fixed id, so that the same output gives the same bytes.
        drawn = console.export_svg(title="rerank-sidecar", theme=MONOKAI, unique_id="recording")
    drawn = _FONT_FACE.sub("", drawn).replace("<!-- Generated with Rich https://www.textualize.io -->\n", "")
    return re.sub(r"font-family: [^;]*;", f"font-family: {_FAMILY};", drawn)


def without_times(lines: list[str]) -> list[str]:
    """Return the lines without times, up to the empty line after the last of them."""
    timed = [i for i, line in enumerate(lines) if _TIMES.search(Text.from_ansi(line).plain)]
    end = len(lines) if not timed else timed[-1]
    return [line for i, line in enumerate(lines[:end]) if i not in timed]


def main() -> None:
    """Run the command of the command line in a terminal's colours, and write its picture."""
    target, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        sys.exit(__doc__)
    colours = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    done = subprocess.run(command, env=colours, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    Path(target).write_text(picture(command, done.stdout), encoding="utf-8")


if __name__ == "__main__":
    main()
