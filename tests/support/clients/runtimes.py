"""Runtimes of other languages' clients; where one is absent the tests skip, and in CI they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.live.node_home import NoNode
from tests.support.live.opensearch_home import jdk

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("SIDECAR_TEST_CLIENTS", HERE.parents[2] / ".cache" / "clients")).resolve()


def absent(reason):
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def found(name, reason):
    path = shutil.which(name)
    if path is None:
        absent(f"no {name} on this machine: {reason}")
    return path


def run(words, *, cwd=HERE, timeout=120, **variables):
    """Run a program to its end and return its output; its errors are the test's."""
    env = os.environ | variables
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def java():
    try:
        return str(jdk("2.19.1") / "bin" / "java")
    except NoNode as reason:
        absent(str(reason))


def copied(name):
    """A folder of ours, copied to where packages may be installed beside it."""
    folder = CACHE / name
    shutil.copytree(HERE / name, folder, dirs_exist_ok=True)
    return folder


def go_program(name):
    """Build a Go program of this folder, its modules fetched by the pinned sums; returns the program."""
    go = found("go", "the Go clients are built with it")
    folder = copied(name)
    # Go's own cache lies below the user's, which the tests leave alone.
    run([go, "build", "-o", "program", "."], cwd=folder, timeout=600, GOCACHE=str(CACHE / "go-build"))
    return folder / "program"


def node_folder(name):
    """Install a Node program's packages by its lock file; returns its folder."""
    npm = found("npm", "opensearch-js is installed with it")
    folder = copied(name)
    run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, timeout=600)
    return folder
