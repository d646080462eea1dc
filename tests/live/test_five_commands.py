"""docs/TRAINING.md on a real OpenSearch, to the last command: the adapter is served, and orders a search."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.training.five_commands import MARGIN, commands, done, figures, folder

__all__ = ["folder"]
pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]


def test_the_five_commands_end_in_a_served_adapter(folder, tiny_llama, tiny_bert, opensearch_url, client, capsys):
    index = f"train-{os.getpid()}"
    at = {"docs": index, "http://localhost:9200": opensearch_url}
    done(["index", "corpus.jsonl", "--engine", "opensearch", "--url", opensearch_url, "--index", index])
    try:
        *first_four, serve = commands(tiny_llama, tiny_bert, **at)
        mine, teach, train, run, evaluate = first_four
        for words in (mine, teach, train, run):
            done(words)
        before, after = figures(evaluate, capsys)
        assert after > before + MARGIN
        with served(serve, folder) as url:
            body = {"query": {"match": {"text": "about thing60"}}, "size": 1, "ext": {"rerank": {}}}
            assert best(f"{url}/{index}/_search", body) == "60-right"
            assert best(f"{opensearch_url}/{index}/_search", {**body, "ext": {}}) != "60-right"
    finally:
        client.indices.delete(index=index)


def best(url, body):
    """The id of the first hit."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["hits"]["hits"][0]["_id"]


@contextmanager
def served(words, folder):
    """Run the service as a process of its own; gives the URL of its OpenSearch port once the model is there."""
    ports = {name: str(free_port()) for name in ("SIDECAR_PORT", "SIDECAR_API_PORT")}
    environment = {**os.environ, **ports, "SIDECAR_BUDGET_MS": "30000", "SIDECAR_ON_FAILURE": "error"}
    command = [sys.executable, "-c", f"from sidecar.cli.main import main; main({words!r})"]
    process = subprocess.Popen(command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)})
    try:
        ready(f"http://127.0.0.1:{ports['SIDECAR_PORT']}/_sidecar/ready", process)
        yield f"http://127.0.0.1:{ports['SIDECAR_PORT']}"
    finally:
        process.terminate()
        process.wait(30)


def ready(url, process):
    """Wait until the service says that its model is loaded."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the service did not get ready")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]
