"""Experiments over an index of OpenSearch: `sweep`, `run --body`, and an agent's search."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest

from connectors.opensearch.admin.bulk import load
from sidecar.core.corpus import Document
from sidecar.experiments.run_reading import read_run
from tests.support.mcp_client import called

pytestmark = pytest.mark.live

TOPICS = {f"q{n}": f"fox {n}" for n in range(12)}
BODY = {"query": {"bool": {"must": {"match": {"text": "{{query}}"}}, "must_not": {"match": {"text": "red"}}}}}


@pytest.fixture
def index(client):
    """An index of 40 foxes, every second one red."""
    name = f"experiments-{uuid.uuid4().hex[:8]}"
    documents = [Document(f"d{n}", "", f"a {'red' if n % 2 else 'grey'} fox {n} {'fox ' * (n % 5)}") for n in range(40)]
    load(client, name, documents)
    yield name
    client.indices.delete(index=name)


@pytest.fixture
def folder(tmp_path, index):
    (tmp_path / "topics.tsv").write_text("".join(f"{qid}\t{query}\n" for qid, query in TOPICS.items()))
    (tmp_path / "qrels.txt").write_text("".join(f"q{n} 0 d{2 * n} 1\n" for n in range(12)))
    (tmp_path / "body.json").write_text(json.dumps(BODY))
    return tmp_path


def test_a_sweep_compares_queries_of_two_kinds(run, folder, index, opensearch_url, tiny_llama):
    stage = f'index = "{index}"\nengine = "opensearch"\nurl = "{opensearch_url}"\n'
    (folder / "sweep.toml").write_text(
        f'topics = "topics.tsv"\nqrels = "qrels.txt"\nwindows = [5]\nhits = 10\nmodels = ["{tiny_llama[1]}"]\n'
        f'[[first_stage]]\nname = "match"\n{stage}[[first_stage]]\nname = "grey"\n{stage}body = "body.json"\n'
        '[[fusion]]\nmethod = ["rerank", "rrf"]\n'
    )
    status, _, said = run("sweep", "sweep.toml", "--output", "out", "--device", "cpu")
    assert status == 0, said
    points = json.loads((folder / "out/sweep.json").read_text())["points"]
    assert len(points) == 2 * (1 + 2)
    found = {}
    for path in (folder / "out/first-stages").glob("*.jsonl*"):
        status, _, said = run("rerank", path, "--output", f"{path.name}.trec", "--format", "trec", "--device", "cpu")
        assert status == 0, said
        hits = set().union(*read_run(folder / f"{path.name}.trec").values())
        found[any(int(docid[1:]) % 2 for docid in hits)] = path
    assert set(found) == {True, False}


def test_a_run_searches_by_a_body_of_its_own(run, folder, index, opensearch_url, tiny_llama):
    words = ("run", "--url", opensearch_url, "--engine", "opensearch", "--index", index, "--topics", "topics.tsv")
    status, _, said = run(*words, "--body", "body.json", "--output", "run.trec", "--model", tiny_llama[1])
    assert status == 0, said
    ranked = read_run(folder / "run.trec")
    assert ranked.keys() == TOPICS.keys()
    assert set().union(*ranked.values()) == {f"d{2 * n}" for n in range(20)}


def test_an_agent_searches(index, opensearch_url):
    words = ["--engine", "opensearch", "--url", opensearch_url, "--index", index, "--device", "cpu"]
    (found,) = asyncio.run(called(words, ("search", {"query": "grey fox 12", "hits": 3})))
    hits = found.structured_content["result"]
    assert len(hits) == 3
    assert "grey fox 12" in {hit["text"].strip().removeprefix("a ")[:11] for hit in hits}
