"""How far a long command is, on stderr alone: a bar for a person, a line now and then for a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

# A night's job leaves about a thousand lines in its log.
LOG_SECONDS = 30.0


class Pace:
    """Counts what is done and says how fast it goes and how long it still takes.

    `already` was done before this process began, so it is progress but no speed. `clock` gives seconds. A `note` comes
    last, whatever matters beside speed.
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
    """Show a pace while the block runs: a bar that vanishes on a terminal, elsewhere a line each `every` seconds."""
    console = console or Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Meter(pace, _Log(doing, pace, console, every))
        return
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), _Pace(pace), console=console, transient=True
    )
    task = bar.add_task(doing, total=pace.total, completed=pace.done)
    with bar:
        yield Meter(pace, lambda: bar.update(task, completed=pace.done, total=pace.total))


class Meter:
    """Receives a command's progress."""

    def __init__(self, pace: Pace, show: Callable[[], None]) -> None:
        self._pace = pace
        self._show = show

    def advance(self, passages: int = 0) -> None:
        """One more is done; `passages` of it were scored."""
        self._pace.passages += passages
        self.reach(self._pace.done + 1)

    def reach(self, done: int) -> None:
        """So many are done in all."""
        self._pace.done = done
        self._show()


class _Pace(ProgressColumn):
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        super().__init__()

    def render(self, task: Task) -> Text:
        del task  # its estimate forgets what is older than 30 s, and a query may take longer than that
        return Text(str(self._pace))


class _Log:
    def __init__(self, doing: str, pace: Pace, console: Console, every: float) -> None:
        self._doing, self._pace, self._console, self._every = doing, pace, console, every
        self._next = pace.seconds + every

    def __call__(self) -> None:
        if self._pace.seconds >= self._next:
            self._next = self._pace.seconds + self._every
            self._console.print(f"{self._doing}: {self._pace}", soft_wrap=True)


def _digits(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
