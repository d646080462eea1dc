"""Ctrl-C, SIGTERM and kill -9 in the middle of a long command: nothing is lost, and the end is the same to the byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]

ROOT = Path(__file__).parents[2]
QUERIES = 60
STEP = 8


@pytest.fixture(scope="module")
def folder(jvm, tmp_path_factory):
    """Hold an index, topics for it, and candidate lists of much the same."""
    del jvm
    from connectors.pyserini.build import build_index
    from sidecar.corpus import Document

    made = tmp_path_factory.mktemp("stopped")
    documents = [Document(f"d{i:02}", f"Title {i}", "fox dog " + "filler " * i) for i in range(1, 41)]
    build_index(documents, made / "index")
    (made / "topics.tsv").write_text("".join(f"q{i}\tfox number {i}\n" for i in range(QUERIES)))
    candidates = [{"docid": one.docid, "score": -n, "text": one.text} for n, one in enumerate(documents[:30])]
    lists = [{"query_id": f"q{i}", "query": f"fox number {i}", "candidates": candidates} for i in range(QUERIES)]
    (made / "candidates.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lists))
    return made


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--topics", "topics.tsv", "--index", "index", "--hits", "30", "--output-format", "trec"),
        ("rerank", "candidates.jsonl", "--format", "trec"),
    ],
    ids=["run", "rerank"],
)
def test_what_stops_a_command_loses_nothing(folder, tiny_llama, command):
    def start(output: str, *more: str) -> subprocess.Popen[str]:
        words = [
            *command,
            "--window",
            "20",
            "--model",
            str(tiny_llama[1]),
            "--device",
            "cpu",
            "--output",
            output,
            *more,
        ]
        return subprocess.Popen(
            [sys.executable, "-c", "from sidecar.cli.main import main; main()", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    name = command[0]
    journal = folder / f".{name}.cut.journal"

    def kept() -> int:
        return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0

    before = 0
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = start(f"{name}.cut", *(["--resume"] if before else []))
        deadline = time.monotonic() + 240
        while kept() < before + STEP and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
        assert process.returncode == status, said
        assert before + STEP <= kept() < QUERIES
        before = kept()
        if number != signal.SIGKILL:
            assert said == f"{before} finished queries are kept: go on with --resume.\n"
        assert [path.name for path in folder.glob(f"*{name}.cut*")] == [journal.name]

    refused = start(f"{name}.cut")
    assert "--resume" in refused.communicate()[1]
    assert refused.returncode == 1
    for output, more in ((f"{name}.cut", ["--resume"]), (f"{name}.whole", [])):
        process = start(output, *more)
        out, said = process.communicate()
        assert (process.returncode, out) == (0, ""), said
    for suffix in ["", ".first-stage"] if name == "run" else [""]:
        assert (folder / f"{name}.cut{suffix}").read_bytes() == (folder / f"{name}.whole{suffix}").read_bytes()
    assert not journal.exists()
    manifest = json.loads((folder / f"{name}.cut.manifest.json").read_text())
    whole = json.loads((folder / f"{name}.whole.manifest.json").read_text())
    assert (manifest["queries_resumed"], whole["queries_resumed"]) == (before, 0)
    assert manifest["queries"] == whole["queries"] == QUERIES
    assert manifest["passages_scored"] == whole["passages_scored"] == QUERIES * 20
    assert manifest["settings"] == whole["settings"]
