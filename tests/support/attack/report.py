"""The table that the attacks end in: how many inputs of each class were sent, and what held.

`tests/conftest.py` takes the hooks in, since the process that prints the table may not be the one that ran the attacks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

ROWS = pytest.StashKey["list"]()


@dataclass
class Report:
    """The outcome of each class, for the table at the end."""

    rows: list = field(default_factory=list)

    def add(self, name, inputs, honest, held):
        answers = f"{honest.answers} answers, {honest.probes} probes" if honest else ""
        slowest = f"{honest.slowest_health * 1000:.0f}" if honest else ""
        self.rows.append((name, str(inputs), answers, slowest, held))


def pytest_sessionfinish(session):
    """Let a worker of pytest-xdist hand its rows over."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["attacks"] = session.config.stash.get(ROWS, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.stash.setdefault(ROWS, []).extend(getattr(node, "workeroutput", {}).get("attacks", ()))


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("attacks")
    for row in (("class", "inputs", "honest callers", "slowest health, ms", "held"), ("---",) * 5, *rows):
        terminalreporter.write_line(f"| {' | '.join(row)} |")
