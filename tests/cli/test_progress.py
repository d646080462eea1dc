"""Progress: rate and time left, a line now and then in a log, a bar on a terminal, and stdout untouched."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sidecar.cli.progress import Pace, progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


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
    assert out.getvalue().splitlines() == [
        "reranking: 2/9 queries · 5 passages/s · 0:02:20 left",
        "reranking: 4/9 queries · 5 passages/s · 0:01:40 left",
        "reranking: 6/9 queries · 5 passages/s · 0:01:00 left",
        "reranking: 8/9 queries · 5 passages/s · 0:00:20 left",
    ]
    assert capsys.readouterr().out == ""


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
