"""Shows on stderr what a command is doing: a spinner or a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Lock, Thread

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from sidecar.cli.terminal import NARROW, is_terminal, message_console

# Seconds without output after which a person would wonder what is going on; then a log gets its first line.
QUIET_SECONDS = 2.0
# Seconds between the next lines: a job of eight hours writes about a thousand.
LOG_SECONDS = 30.0
# Seconds between two checks whether a line is due.
_LOOK_SECONDS = 0.25


class Pace:
    """Counts what is done, and tells the rate and the time left.

    `already` was done before this process began: it counts as progress, and not for the rate. `clock` gives seconds. A
    `note` is a text after the time left.
    """

    def __init__(
        self, unit: str, *, total: int | None = None, already: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.unit = unit
        self.total = total
        self.done = already
        self.passages = 0
        self.note = ""
        self._already = already
        self._clock = clock
        self._began = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def __str__(self) -> str:
        """As `12/43 queries · 71 passages/s · 0:00:43 left`; the rate is the mean since the beginning."""
        seconds, fresh = self.seconds, self.done - self._already
        parts = [f"{self.done}{'' if self.total is None else f'/{self.total}'} {self.unit}"]
        if fresh and seconds > 0:
            passages = self.passages > 0
            rate = (self.passages if passages else fresh) / seconds
            parts.append(f"{_digits(rate)} {'passages' if passages else self.unit}/s")
            if self.total is not None:
                left = (self.total - self.done) * seconds / fresh
                parts.append(f"{timedelta(seconds=round(left))} left")
        return " · ".join([*parts, self.note] if self.note else parts)


@contextmanager
def progress(doing: str, pace: Pace, *, console: Console | None = None, every: float = LOG_SECONDS) -> Iterator[Meter]:
    """Show a pace while the block runs: a bar that vanishes on a terminal; elsewhere a line after two seconds.

    The next lines follow each `every` seconds.
    """
    console = console or message_console()
    if not console.is_interactive:
        log = _Log(lambda: f"{doing}: {pace}", console, lambda: pace.seconds, every)
        with log.watched():
            yield Meter(pace, log.look)
        return
    bar = _shown(_Pace(pace), console, bar=console.width > NARROW)
    task = bar.add_task(doing, total=pace.total, completed=pace.done)
    with bar:
        yield Meter(pace, lambda: bar.update(task, completed=pace.done, total=pace.total))


@contextmanager
def working(
    doing: str, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[None]:
    """Say what is going on while the block runs: a spinner on a terminal; elsewhere a line after two seconds.

    Blocks must not be nested, nor stand inside a `progress`: a terminal has room for one moving line.
    """
    console = console or message_console()
    began = clock()
    if not console.is_interactive:

        def line() -> str:
            seconds = clock() - began
            return f"{doing} …" if seconds < LOG_SECONDS else f"{doing} … {timedelta(seconds=round(seconds))} so far"

        with _Log(line, console, lambda: clock() - began, LOG_SECONDS).watched():
            yield
        return
    spinner = _shown(_Elapsed(), console, bar=False)
    spinner.add_task(doing, total=None)
    with spinner:
        yield


def _shown(last: ProgressColumn, console: Console, *, bar: bool) -> Progress:
    """Make a line of a spinner, what is going on, a bar, and the last column; on a narrow terminal its texts wrap."""
    what = TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold"))
    columns = [SpinnerColumn(), what, *([BarColumn(20)] if bar else []), last]
    # Text for stdout is passed through the console, above the moving line, only if both share a terminal.
    return Progress(*columns, console=console, transient=True, redirect_stdout=is_terminal(sys.stdout))


class Meter:
    """Receives a command's progress."""

    def __init__(self, pace: Pace, show: Callable[[], None]) -> None:
        self._pace = pace
        self._show = show

    def advance(self, passages: int = 0) -> None:
        """Count one more as done; `passages` of it were scored."""
        self._pace.passages += passages
        self.reach(self._pace.done + 1)

    def reach(self, done: int) -> None:
        """Set how many are done in all."""
        self._pace.done = done
        self._show()


class _Pace(ProgressColumn):
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        super().__init__()

    def render(self, task: Task) -> Text:
        del task  # its estimate forgets what is older than 30 s, and a query may take longer than that
        return Text(str(self._pace))


class _Elapsed(ProgressColumn):
    """Seconds since the beginning, once there are two of them."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        return Text("" if seconds < QUIET_SECONDS else f"{timedelta(seconds=int(seconds))}", style="dim")


class _Log:
    """Prints what `line` returns: once after `QUIET_SECONDS`, and again each `every` seconds."""

    def __init__(self, line: Callable[[], str], console: Console, seconds: Callable[[], float], every: float) -> None:
        self._line, self._console, self._seconds, self._every = line, console, seconds, every
        self._next = seconds() + min(QUIET_SECONDS, every)
        self._lock = Lock()

    def look(self) -> None:
        """Print a line if one is due."""
        with self._lock:
            seconds = self._seconds()
            if seconds >= self._next:
                self._next = seconds + self._every
                self._console.print(self._line(), soft_wrap=True, markup=False)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again while the block runs, in a thread: the block may be silent for long."""
        ended = Event()

        def watch() -> None:
            while not ended.wait(_LOOK_SECONDS):
                self.look()

        thread = Thread(target=watch, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _digits(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
