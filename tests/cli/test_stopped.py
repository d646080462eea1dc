"""Ctrl-C, SIGTERM and kill -9 in the middle of a long command: nothing is lost, and the end is the same to the byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]

ROOT = Path(__file__).parents[2]
QUERIES = 100
STEP = 5

# Loads the libraries once and forks a process for each command (its words and a file for its stderr, as JSON), for
# importing torch takes longer than all the rest. The parent touches neither the JVM nor a tensor.
FORKS = """
import json, os, signal, sys
import torch, transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaForSequenceClassification
import sidecar.scoring.cross_encoder, sidecar.scoring.loading
from sidecar.cli.main import main
for line in sys.stdin:
    words, said = json.loads(line)
    child = os.fork()
    if not child:
        os.setsid()
        # Where the tests run in the background, Ctrl-C is ignored, and a child inherits that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the parent's stdout is for process ids
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        main(words)
        sys.exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


SWEEP = """
topics = "topics.tsv"
qrels = "qrels.txt"
windows = [10, 20]
models = ["MODEL"]
hits = 20
[[first_stage]]
name = "bm25"
index = "index"
k1 = [0.9, 2.0]
[[first_stage]]
name = "given"
candidates = "candidates.jsonl"
[[fusion]]
method = ["rerank", "linear", "rrf"]
"""


@pytest.fixture(scope="module")
def folder(jvm, tmp_path_factory):
    """Hold an index, topics for it, and candidate lists of much the same."""
    del jvm
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    made = tmp_path_factory.mktemp("stopped")
    documents = [Document(f"d{i:02}", f"Title {i}", "fox dog " + "filler " * i) for i in range(1, 41)]
    build_index(documents, made / "index")
    (made / "topics.tsv").write_text("".join(f"q{i}\tfox number {i}\n" for i in range(QUERIES)))
    candidates = [{"docid": one.docid, "score": -n, "text": one.text} for n, one in enumerate(documents[:30])]
    lists = [{"query_id": f"q{i}", "query": f"fox number {i}", "candidates": candidates} for i in range(QUERIES)]
    (made / "candidates.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lists))
    return made


class Forks:
    """Starts commands one after the other; each runs in a process of its own."""

    def __init__(self, folder: Path, messages) -> None:
        self._said = folder / "stderr"
        self._messages = messages
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            cwd=folder,
            # One thread: several processes' threads on a busy machine wait for one another.
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, words: list[str]) -> int:
        """Start a command and return its process id."""
        self.process.stdin.write(json.dumps([words, str(self._said)]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit status (negative for a signal) and the messages on stderr."""
        status = int(self.process.stdout.readline())
        return status, "".join(self._messages(self._said.read_text()))


@pytest.fixture(scope="module")
def forks(folder, messages):
    made = Forks(folder, messages)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--topics", "topics.tsv", "--index", "index", "--hits", "30", "--output-format", "trec"),
        ("rerank", "candidates.jsonl", "--format", "trec"),
    ],
    ids=["run", "rerank"],
)
def test_what_stops_a_command_loses_nothing(folder, forks, tiny_llama, command):
    name = command[0]
    journal = folder / f".{name}.cut.journal"
    words = [*command, "--window", "20", "--model", str(tiny_llama[1]), "--device", "cpu", "--output"]

    def kept() -> int:
        written = journal.read_bytes() if journal.exists() else b""
        return written[: written.rfind(b"\n") + 1].count(b'\n{"qid"')  # a last line without an end is dropped

    before = 0
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = forks.start([*words, f"{name}.cut", *(["--resume"] if before else [])])
        deadline = time.monotonic() + 120
        while kept() < before + STEP and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process, number)
        ended, said = forks.end()
        assert ended == status, said
        assert before + STEP <= kept() < QUERIES
        before = kept()
        if number != signal.SIGKILL:
            assert said == f"{before} finished queries are kept; continue with --resume.\n"
        assert [path.name for path in folder.glob(f"*{name}.cut*")] == [journal.name]

    forks.start([*words, f"{name}.cut"])
    refused, said = forks.end()
    assert (refused, "--resume" in said) == (1, True)
    for output in ([f"{name}.cut", "--resume"], [f"{name}.whole"]):
        forks.start([*words, *output])
        ended, said = forks.end()
        assert ended == 0, said
    for suffix in ["", ".first-stage"] if name == "run" else [""]:
        assert (folder / f"{name}.cut{suffix}").read_bytes() == (folder / f"{name}.whole{suffix}").read_bytes()
    assert not journal.exists()
    manifest = json.loads((folder / f"{name}.cut.manifest.json").read_text())
    whole = json.loads((folder / f"{name}.whole.manifest.json").read_text())
    assert (manifest["queries_resumed"], whole["queries_resumed"]) == (before, 0)
    assert manifest["queries"] == whole["queries"] == QUERIES
    assert manifest["passages_scored"] == whole["passages_scored"] == QUERIES * 20
    assert manifest["settings"] == whole["settings"]


def files_of(folder: Path, output: str) -> dict[str, bytes]:
    """Return the final files of an output, without the manifest (it has times) and the score file (SQLite's pages)."""
    found = [folder / output] if (folder / output).is_file() else sorted((folder / output).rglob("*"))
    found += [path] if (path := folder / f"{output}.first-stage").exists() else []
    return {
        path.relative_to(folder).as_posix().replace(output, "OUTPUT"): path.read_bytes()
        for path in found
        if path.is_file() and path.name != "scores.db"
    }


@pytest.mark.soak
@pytest.mark.parametrize(
    "command",
    [
        ("run", "--topics", "topics.tsv", "--index", "index", "--hits", "30", "--window", "20"),
        ("sweep", "sweep.toml"),
    ],
    ids=["run", "sweep"],
)
def test_ten_kills_at_random_moments_change_no_byte(folder, forks, tiny_llama, command):
    (folder / "qrels.txt").write_text("".join(f"q{q} 0 d{q % 30 + 1:02} 1\n" for q in range(QUERIES)))
    (folder / "sweep.toml").write_text(SWEEP.replace("MODEL", str(tiny_llama[1])))
    name, chance = command[0], random.Random(17)
    model = [] if name == "sweep" else ["--model", str(tiny_llama[1])]
    words = [*command, "--device", "cpu", *model, "--output"]

    began = time.monotonic()
    forks.start([*words, f"{name}.uncut"])
    ended, said = forks.end()
    assert ended == 0, said
    seconds = time.monotonic() - began
    killed = tries = 0
    while killed < 10:
        tries += 1
        assert tries < 50
        process = forks.start([*words, f"{name}.killed", "--resume", "--force"])
        # Anywhere: before the first query, in the middle, or while the files are written. One that is done before is
        # begun anew by --force, if it is a run; a finished sweep goes through its steps again.
        time.sleep(chance.uniform(0, seconds))
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        ended, said = forks.end()
        assert ended in {0, -9}, said
        killed += ended == -9
    forks.start([*words, f"{name}.killed", "--resume", "--force"])
    ended, said = forks.end()
    assert ended == 0, said
    uncut = files_of(folder, f"{name}.uncut")
    assert len(uncut) == (2 if name == "run" else 11)
    assert files_of(folder, f"{name}.killed") == uncut
    assert [path.name for path in folder.rglob(".*.journal") if f"{name}.killed" in str(path)] == []
