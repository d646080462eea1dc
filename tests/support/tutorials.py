"""Runs a tutorial as a reader would: the commands of its console blocks, one after the other, in one folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import until

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
NOT_RUN = "<!-- not run: "


@dataclass(frozen=True)
class Step:
    """A command, the lines that the page shows of its output, and whether a test runs it."""

    command: str
    shown: tuple[str, ...]
    runs: bool


def steps(text: str) -> list[Step]:
    """Return the steps of a page: `$ ` begins a command, `> ` and a backslash continue it, the rest is its output."""
    found = []
    for before, block in re.findall(r"^(.*)\n```console\n((?:.*\n)*?)```$", text, re.MULTILINE):
        runs = not before.startswith(NOT_RUN)
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            size = 1
            while size < len(lines) and continues(lines[:size], lines[size]):
                size += 1
            command = "\n".join([lines[0], *(line.removeprefix("> ") for line in lines[1:size])])
            found.append(Step(command, tuple(lines[size:]), runs))
    return found


def continues(lines: list[str], line: str) -> bool:
    """Whether a line belongs to the command whose lines these are: a prompt, or a backslash or open quote before."""
    return line.startswith("> ") or lines[-1].endswith("\\") or "\n".join(lines).count("'") % 2 == 1


def missing(shown: tuple[str, ...], output: str) -> list[str]:
    """Return the shown lines that the output has not, in their order; `…` stands for any text."""
    left, lost = output.splitlines(), []
    for line in shown:
        pattern = re.sub(r"(?:\\ )+", r"\\s+", ".*".join(re.escape(part) for part in line.strip().split("…")))
        at = next((i for i, one in enumerate(left) if re.fullmatch(pattern, one.strip())), None)
        if at is None:
            lost.append(line)
        else:
            left = left[at + 1 :]
    return lost


class Shell:
    """Runs commands in a folder, where `sidecar` and `python` are those of this environment.

    `changed` maps addresses of the page to those of the test. The service's ports are free ones.
    """

    def __init__(self, folder: Path, changed: dict[str, str], ports: tuple[int, int]) -> None:
        self.folder = folder
        self.ports = ports
        self.changed = {
            **changed,
            "localhost:9280": f"127.0.0.1:{ports[0]}",
            **dict.fromkeys(("localhost:9281", "127.0.0.1:9281"), f"127.0.0.1:{ports[1]}"),
        }
        programs = folder / ".programs"
        programs.mkdir()
        root = Path(__file__).parents[2]
        for name, words in (("sidecar", "-m sidecar"), ("python", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(root),
            "COLUMNS": "120",
            "SIDECAR_DEVICE": "cpu",
            "SIDECAR_PORT": str(ports[0]),
            "SIDECAR_API_PORT": str(ports[1]),
        }

    def words(self, command: str) -> list[str]:
        for there, here in self.changed.items():
            command = command.replace(there, here)
        return ["bash", "-euo", "pipefail", "-c", command]

    def output(self, command: str) -> str:
        """Run a command to its end and return what it printed; a failure shows it."""
        done = subprocess.run(
            self.words(command),
            check=False,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def service(self, command: str):
        """Run `sidecar serve` until the block ends; it is ready before the block begins."""
        log = self.folder / ".serve.log"
        with log.open("w") as stream:
            words = self.words(f"exec {command}")
            process = subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=stream, stderr=stream)
        try:
            until(lambda: process.poll() is not None or self.is_ready(), 180)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def is_ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.ports[0]}/_sidecar/health/ready"
            return urllib.request.urlopen(url, timeout=5).status == 200
        except OSError:
            return False
