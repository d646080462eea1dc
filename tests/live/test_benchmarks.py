"""`make bench-proxy` and `make load`, cut short: they run, and what they check holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.live.nodes import NODES

pytestmark = [
    pytest.mark.live,
    pytest.mark.soak,
    pytest.mark.parametrize("opensearch_url", NODES[:1], indirect=True),
]


def figures(module, url, path, *words):
    command = [sys.executable, "-m", f"benchmarks.{module}", "--url", url, "--json", path, *words]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(path.read_text())


def test_what_the_proxy_costs_is_measured(opensearch_url, tmp_path):
    assert figures("proxy", opensearch_url, tmp_path / "proxy.json", "--rounds", "5")


def test_what_comes_of_a_load_is_counted(opensearch_url, tmp_path):
    words = ["--seconds", "4", "--clients", "4", "--window", "10"]
    assert figures("load", opensearch_url, tmp_path / "load.json", *words)
