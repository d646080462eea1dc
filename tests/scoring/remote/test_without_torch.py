"""Remote scorers need nothing that runs a model: the command line and the service work where that is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.servers.remote_stub import remote_stub

ROOT = Path(__file__).parents[3]
# What `docs/how-to/remote-scorers.md` leaves out of an installation.
LEFT_OUT = [
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "openvino",
    "safetensors",
    "tokenizers",
    "scipy",
    "ir_measures",
]
WITHOUT = f"""
import sys
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LEFT_OUT}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)
sys.meta_path.insert(0, Refusing())
"""
RERANK = "from sidecar.cli.main import main; main()"
SERVE = """
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.hits import by_model, opensearch
from tests.support.servers.served import served
from tests.support.servers.stub import Stub
with Stub(opensearch) as upstream, served(upstream.url, model=sys.argv[1]) as running:
    answer = running.search("docs", body())
    assert (outcome(answer), ids(answer)) == (("applied", ""), by_model()[:10])
"""


def run(program, *arguments):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/")}
    command = [sys.executable, "-c", WITHOUT + program, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_candidates_are_reranked(tmp_path):
    given = {"query_id": "1", "query": "fox", "candidates": [{"docid": "a", "text": "1"}, {"docid": "b", "text": "2"}]}
    (tmp_path / "candidates.jsonl").write_text(json.dumps(given) + "\n")
    with remote_stub("vllm") as server:
        options = ("--model", server.url, "--output", tmp_path / "run", "--score-file", tmp_path / "scores")
        done = run(RERANK, "rerank", tmp_path / "candidates.jsonl", "--format", "trec", *options)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert [line.split()[2] for line in (tmp_path / "run").read_text().splitlines()] == ["b", "a"]


def test_the_service_serves():
    with remote_stub("vllm") as server:
        done = run(SERVE, server.url)
    assert done.returncode == 0, done.stderr


def test_a_local_model_is_refused_with_the_reason(tmp_path):
    (tmp_path / "candidates.jsonl").write_text(
        '{"query_id": "1", "query": "fox", "candidates": [{"docid": "a", "text": "1"}]}\n'
    )
    done = run(RERANK, "rerank", tmp_path / "candidates.jsonl", "--output", tmp_path / "run", "--format", "trec")
    assert done.returncode == 1
    assert "is not installed" in done.stderr
    assert "Traceback" not in done.stderr
