"""What the tests of commands share: a command run in this process, in a folder of its own."""

from __future__ import annotations

import pytest

from sidecar.cli.main import main


@pytest.fixture
def columns():
    """How wide the terminal is."""
    return 120


@pytest.fixture
def run(monkeypatch, tmp_path, capsys, columns):
    """Run the command in an empty folder; returns exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))

    def command(*words: object) -> tuple[int, str, str]:
        status = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return command
