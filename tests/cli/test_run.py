"""`sidecar run` and `--resume`: the run, the first stage beside it, and the same bytes after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.experiments.run_reading import read_run

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def index(jvm, tmp_path_factory):
    del jvm
    from connectors.pyserini.build import build_index
    from sidecar.corpus import Document

    directory = tmp_path_factory.mktemp("run") / "index"
    build_index([Document(f"d{i:02}", f"Title {i}", "fox dog " + "filler " * i) for i in range(1, 41)], directory)
    return directory


@pytest.fixture
def words(tmp_path, index, tiny_llama):
    (tmp_path / "topics.tsv").write_text("".join(f"q{i}\tfox number {i}\n" for i in range(60)))

    def command(output: str, *more: str) -> list[str]:
        own = ["run", "--topics", str(tmp_path / "topics.tsv"), "--index", str(index), "--output", output]
        return [*own, "--model", str(tiny_llama[1]), "--device", "cpu", "--hits", "30", "--window", "20", *more]

    return command


def sidecar(words, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", "from sidecar.cli.main import main; main()", *words],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, words):
    whole = sidecar(words("whole.trec"), cwd=tmp_path)
    assert whole.wait() == 0, whole.stderr.read()
    killed = sidecar(words("cut.trec"), cwd=tmp_path)
    journal = tmp_path / ".cut.trec.journal"
    deadline = time.monotonic() + 120
    while not (journal.exists() and len(journal.read_bytes().splitlines()) > 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = len(journal.read_bytes().splitlines()) - 1
    assert 5 <= done < 60
    assert not (tmp_path / "cut.trec").exists()

    refused = sidecar(words("cut.trec"), cwd=tmp_path)
    assert refused.wait() == 1
    assert "--resume" in refused.stderr.read()
    resumed = sidecar(words("cut.trec", "--resume"), cwd=tmp_path)
    assert resumed.wait() == 0, resumed.stderr.read()
    for name in ("", ".first-stage"):
        assert (tmp_path / f"cut.trec{name}").read_bytes() == (tmp_path / f"whole.trec{name}").read_bytes()
    assert not journal.exists()

    run, first = read_run(tmp_path / "cut.trec"), read_run(tmp_path / "cut.trec.first-stage")
    assert len(run) == len(first) == 60
    by_bm25 = [f"d{i:02}" for i in range(1, 31)]
    assert list(first["q0"]) == by_bm25
    # Reranked are the first twenty; the rest follows as BM25 had it.
    assert set(list(run["q0"])[:20]) == set(by_bm25[:20])
    assert list(run["q0"])[:20] != by_bm25[:20]
    assert list(run["q0"])[20:] == by_bm25[20:]


def test_ctrl_c_ends_the_run_and_says_what_is_kept(tmp_path, words):
    process = sidecar(words("stopped.trec"), cwd=tmp_path, start_new_session=True)
    journal = tmp_path / ".stopped.trec.journal"
    deadline = time.monotonic() + 120
    while not (journal.exists() and len(journal.read_bytes().splitlines()) > 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    done = len(journal.read_bytes().splitlines()) - 1
    assert process.stderr.read() == f"{done} finished queries are kept: go on with --resume.\n"
    assert not (tmp_path / "stopped.trec").exists()


def test_candidate_lists_carry_the_stored_documents(tmp_path, words):
    process = sidecar(words("run.jsonl", "--output-format", "jsonl"), cwd=tmp_path)
    assert process.wait() == 0, process.stderr.read()
    line = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])
    assert line["query"] == {"text": "fox number 0", "qid": "q0"}
    assert {hit["docid"]: hit["doc"]["title"] for hit in line["candidates"]}["d07"] == "Title 7"
