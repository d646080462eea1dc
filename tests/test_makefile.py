"""Every target of the Makefile is run by CI, each week, or by a test that does the same in short."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

SCHEDULE = (ROOT / ".github" / "workflows" / "weekly.yml").read_text(encoding="utf-8")

# Target → the tests that run what it runs.
TESTED = {
    "demo": ["tests/cli/test_demo.py"],
    "fuzz": ["tests/serving/rerank_api/test_fuzz.py", "tests/live/test_search_fuzz.py"],
    "attack": [f"tests/attack/test_{name}.py" for name in ("exhaustion", "framing", "paths", "rights")],
    "bench": ["tests/bench/test_run.py"],
    "bench-proxy": ["tests/live/test_benchmarks.py"],
    "load": ["tests/live/test_benchmarks.py"],
    "docs": ["tests/test_docs.py"],
}
# A quick part of what CI runs as other targets.
PARTS = {"check"}
# What only a person at work needs: it changes the tree, or asks the package index for new versions.
BY_HAND = {"help", "format", "recording", "page-recording", "pins", "clean"}


def test_every_target_runs_somewhere_by_itself():
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))
    by_ci = set(re.findall(r"^ *make ([a-z-]+)", CI, re.MULTILINE))
    needed = {"install"}  # every other target begins with it
    assert by_ci == {"lint", "site", "test", "test-integrations", "test-pyserini", "test-docker"}
    by_schedule = set(re.findall(r"- run: make ([a-z-]+)", SCHEDULE))
    assert by_schedule == {"soak", "fuzz", "attack", "chart", "test-peers"}
    assert targets == by_ci | by_schedule | needed | TESTED.keys() | PARTS | BY_HAND


def test_the_tests_that_stand_for_a_target_are_there():
    assert [path for paths in TESTED.values() for path in paths if not (ROOT / path).is_file()] == []
