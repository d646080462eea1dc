"""Progress: rate and time left, a line now and then in a log, a bar on a terminal, and stdout untouched."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console
from rich.text import Text

from sidecar.cli.progress import Pace, progress, working


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now

    def wait(self) -> None:
        """Wait until another thread has looked at the clock and acted on it."""
        looked = self.looks
        until(lambda: self.looks >= looked + 3)


def until(holds) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def clock():
    return Clock()


def test_what_was_done_before_is_progress_but_no_speed(clock):
    pace = Pace("queries", total=43, already=10, clock=clock)
    assert str(pace) == "10/43 queries"
    clock.now += 50
    pace.done, pace.passages = 13, 300
    # 300 passages in 50 s; 3 queries in 50 s leave 30 · 50/3 = 500 s for the other 30.
    assert str(pace) == "13/43 queries · 6 passages/s · 0:08:20 left"


def test_without_passages_or_total(clock):
    pace = Pace("documents", clock=clock)
    clock.now += 2
    pace.done = 5000
    assert str(pace) == "5000 documents · 2,500 documents/s"


def test_a_log_gets_a_line_now_and_then(clock, capsys):
    out = io.StringIO()
    with progress("reranking", Pace("queries", total=9, clock=clock), console=Console(file=out), every=30) as meter:
        for _ in range(9):
            clock.now += 20
            meter.advance(100)
    # The first line is due after 2 s, and the next ones 30 s after a line was printed.
    assert out.getvalue().splitlines() == [
        "reranking: 1/9 queries · 5 passages/s · 0:02:40 left",
        "reranking: 3/9 queries · 5 passages/s · 0:02:00 left",
        "reranking: 5/9 queries · 5 passages/s · 0:01:20 left",
        "reranking: 7/9 queries · 5 passages/s · 0:00:40 left",
        "reranking: 9/9 queries · 5 passages/s · 0:00:00 left",
    ]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_gets_no_bar_and_whole_words(clock, width):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    with progress("reranking", Pace("queries", total=9, clock=clock), console=console) as meter:
        clock.now += 20
        meter.advance(100)
    drawn = [Text.from_ansi(line).plain.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, drawn)) <= width
    assert "━" not in out.getvalue()
    assert {"reranking", "1/9", "queries", "passages/s", "0:02:40", "left"} <= set(" ".join(drawn).split())


def test_work_is_named_in_a_log_once_it_takes_two_seconds(clock):
    out = io.StringIO()

    def named():
        return out.getvalue().splitlines()

    with working("loading the model m", console=Console(file=out, width=20), clock=clock):
        clock.wait()
        assert named() == []
        clock.now += 1.9
        clock.wait()
        assert named() == []
        clock.now += 0.1
        until(lambda: named() == ["loading the model m …"])
        clock.now += 30
        until(lambda: named()[1:] == ["loading the model m … 0:00:32 so far"])
    assert len(named()) == 2


def test_work_is_named_on_a_terminal_at_once_and_vanishes(clock):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system=None)
    with working("loading the model m", console=console, clock=clock):
        until(lambda: "loading the model m" in out.getvalue())
    assert out.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize("shown", [working("loading"), progress("reranking", Pace("queries"))])
def test_a_variable_makes_no_terminal_of_a_pipe(shown, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with shown:
        pass
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_fits_80_columns(clock):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    with progress("reranking", Pace("queries", total=9, clock=clock), console=console) as meter:
        clock.now += 20
        meter.advance(100)
    assert "1/9 queries · 5 passages/s · 0:02:40 left" in out.getvalue()


def test_a_note_comes_last():
    pace = Pace("steps", total=8, clock=lambda: 0.0)
    pace.note = "loss 0.5"
    assert str(pace) == "0/8 steps · loss 0.5"
