"""The tutorials run as they stand; what a machine here cannot run is parsed."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.main import get_command

from sidecar.cli.app import app
from tests.support.servers.hits import opensearch
from tests.support.servers.stub import Stub
from tests.support.training import tasks
from tests.support.tutorials import FOLDER, Shell, missing, steps

# A request of the rerank API, for the services that the pages start.
RERANK = json.dumps({"query": "a fox", "documents": ["a dog. score 1", "a fox. score 2"]})
CURL = "curl -sf -H 'Content-Type: application/json'"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md"))
COMMANDS = get_command(app).commands


def text(page):
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8")


def free_ports():
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        return tuple(one.getsockname()[1] for one in sockets)


def follow(page, folder, opensearch_url=""):
    """Do what the page says, and find what it shows."""
    at = opensearch_url.removeprefix("http://")
    shell = Shell(folder, {"localhost:9200": at} if at else {}, free_ports())
    with ExitStack() as running:
        for step in steps(text(page)):
            if not step.runs:
                continue
            if step.command.startswith("sidecar serve"):
                running.enter_context(shell.service(step.command))
                continue
            output = shell.output(step.command)
            assert missing(step.shown, output) == [], f"{step.command}\n{output}"


def test_a_page_is_read_as_a_terminal_shows_it():
    page = "x\n```console\n$ cat > a <<'E'\n> one\n> E\n$ curl -d '{\n    1}' x \\\n    y\nfine… 1\n```\n"
    first, second, third = steps(page + "<!-- not run: slow -->\n```console\n$ sleep 9\n```\n")
    assert first.command == "cat > a <<'E'\none\nE"
    assert (second.command, second.shown) == ("curl -d '{\n    1}' x \\\n    y", ("fine… 1",))
    assert (first.runs, second.runs, third.runs) == (True, True, False)


def test_what_is_shown_must_be_printed_in_order():
    assert missing(("a … c", "d"), "x\n a  b  c \nd\n") == []
    assert missing(("d", "a"), "a\nd\n") == ["a"]
    assert missing(("a.c",), "abc\n") == ["a.c"]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_parses(page):
    for step in steps(text(page)):
        words = shlex.split(step.command.partition("<<")[0].replace("\\\n", " "))
        if "sidecar" in words and words[0] in {"sidecar", "torchrun"}:
            _, name, *rest = words[words.index("sidecar") :]
            with COMMANDS[name].make_context(name, rest) as context:
                assert context.args == []


@pytest.mark.soak
def test_the_demo(tmp_path):
    follow("demo", tmp_path)


@pytest.mark.live
def test_in_front_of_opensearch(tmp_path, client, opensearch_url):
    client.indices.delete(index="docs", ignore=[404])
    follow("opensearch", tmp_path, opensearch_url)
    client.indices.delete(index="docs")


@pytest.mark.soak
@pytest.mark.live
def test_as_a_search_pipeline(tmp_path, ml_node):
    follow("search-pipeline", tmp_path, ml_node.url)


@pytest.mark.usefixtures("jvm")
def test_beside_pyserini_on_passages_of_ms_marco(tmp_path, judged):
    """On the passages of BM25's first 100 hits for four queries, of which one is that of the page."""
    folder = judged / "trec-dl19-passage"
    with gzip.open(folder / "candidates.bm25.jsonl.gz", "rt") as lines:
        lists = [json.loads(line) for line in lines]
    lists = [one for one in lists if "durable medical" in one["query"]] + lists[:3]
    passages = {one["docid"]: one["text"] for each in lists for one in each["candidates"]}
    kept = {each["query_id"]: each["query"] for each in lists}
    (tmp_path / "collection.tsv").write_text("".join(f"{docid}\t{passage}\n" for docid, passage in passages.items()))
    (tmp_path / "queries.tsv").write_text("".join(f"{qid}\t{query}\n" for qid, query in kept.items()))
    grades = [line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines()[1:]]
    (tmp_path / "qrels.txt").write_text("".join(f"{q} 0 {d} {grade}\n" for q, d, grade in grades if q in kept))
    follow("pyserini", tmp_path)


@pytest.mark.soak
@pytest.mark.usefixtures("jvm")
def test_an_adapter_of_ones_own(tmp_path):
    tasks.collection(tmp_path, train=16, test=8)
    follow("adapter", tmp_path)


@pytest.mark.soak
def test_on_a_gpu_server_as_far_as_a_cpu_allows(tmp_path, tiny_llama):
    """The same commands with a tiny adapter on the CPU: all but nvidia-smi, CUDA itself and the containers."""
    adapter = str(tiny_llama[1])
    with Stub(opensearch) as stub:
        small = {"dear-3b-ranknet-lora": adapter, "device cuda": "device cpu", "http://search.internal:9200": stub.url}
        shell = Shell(tmp_path, small, free_ports())
        doctor, bench, serve = (named("gpu", f"sidecar {name}") for name in ("doctor", "bench", "serve"))
        assert "device" in shell.output(f"{doctor} --model {adapter} --device cpu")
        assert adapter in shell.output(f"{bench} --rounds 2 --minutes 0.1")
        with shell.service(serve):
            found = json.loads(shell.output(f"{CURL} 127.0.0.1:9281/v1/rerank -d '{RERANK}'"))
    assert {one["index"] for one in found["results"]} == {0, 1}


@pytest.mark.soak
def test_searches_on_several_machines_as_far_as_one_allows(tmp_path, tiny_llama, monkeypatch):
    """Two services of the page's command in front of two nodes give the same scores; each asks for the key."""
    monkeypatch.setenv("SIDECAR_API_KEY", "k3y")
    monkeypatch.setenv("SIDECAR_MODEL", str(tiny_llama[1]))
    serve = named("many-machines", "sidecar serve")
    answers = []
    with Stub(opensearch) as one, Stub(opensearch) as two:
        nodes = {"http://node-1:9200": one.url, "http://node-2:9200": two.url, "0.0.0.0": "127.0.0.1"}
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            shell = Shell(tmp_path / name, nodes, free_ports())
            with shell.service(serve):
                assert "401" in shell.output(f"curl -si 127.0.0.1:9281/v1/rerank -d '{RERANK}'")
                answers.append(
                    shell.output(f"{CURL} 127.0.0.1:9281/v1/rerank -H 'X-Sidecar-Api-Key: k3y' -d '{RERANK}'")
                )
                for path in ("127.0.0.1:9281/health", "localhost:9280/_sidecar/health/ready/opensearch"):
                    shell.output(f"curl -sf -H 'X-Sidecar-Api-Key: k3y' {path}")
    results = [json.loads(answer)["results"] for answer in answers]
    assert results[0] == results[1]


@pytest.mark.soak
def test_training_on_several_gpus_as_far_as_a_cpu_allows(tmp_path, tiny_llama, monkeypatch):
    """Two processes on the CPU train a tiny adapter by the page's command."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SIDECAR_TRAIN_DISTILLATION_WEIGHT", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    tasks.write(tmp_path / "train.jsonl", list(tasks.lists(16, seed=1)))
    changed = {"nproc-per-node 4": "nproc-per-node 2", "train.jsonl.gz": "train.jsonl", "DIR": str(tiny_llama[0])}
    Shell(tmp_path, changed, free_ports()).output(named("many-machines", "torchrun"))
    assert (tmp_path / "my-reranker" / "adapter_model.safetensors").is_file()


def named(page, beginning):
    """The page's first command that begins with these words."""
    return next(step.command for step in steps(text(page)) if step.command.startswith(beginning))
