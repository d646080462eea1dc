"""`sidecar search --explain` on both engines; the engine's own response stays what it is."""

from __future__ import annotations

import json
import uuid

import pytest

WORDS = ("--device", "cpu", "--hits", "2", "--long-passages", "chunk", "--max-length", "64")
HALVES = ("--fusion", "linear", "--fusion-weight", "0.5")


@pytest.fixture
def corpus(tmp_path):
    long = "a fox that jumps over the dog and " * 60
    documents = [{"_id": "a", "title": "Fox", "text": "a fox"}, {"_id": "b", "title": "", "text": long}]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))


def check(explanation, text_field):
    assert [(hit["docid"], hit["rank"]) for hit in explanation] == [
        (hit["docid"], i) for i, hit in enumerate(explanation, 1)
    ]
    by_id = {hit["docid"]: hit for hit in explanation}
    assert by_id.keys() == {"a", "b"}
    # min-max over two documents gives 0 and 1, and the mean of both parts is the fused score
    for hit in explanation:
        parts = (hit["normalized_first_stage"], hit["normalized_rerank"])
        assert set(parts) <= {0.0, 1.0}
        assert hit["score"] == sum(parts) / 2
        assert 0 < hit["relevance"] < 1
        assert hit["calibrated"] is False
    assert by_id["a"]["fields"] == ["title", text_field]
    assert by_id["b"]["fields"] == [text_field]
    assert by_id["a"]["chunk"] is None
    assert by_id["b"]["chunk"]["count"] == 16
    assert by_id["b"]["truncated"] is True


@pytest.mark.live
@pytest.mark.usefixtures("jvm", "corpus")
def test_lucene_explained(run, tiny_llama):
    assert run("index", "corpus.jsonl", "--index", "lucene")[0] == 0
    search = ("search", "fox", "--index", "lucene", "--model", tiny_llama[1], *WORDS, *HALVES)
    _, native, _ = run(*search, "--format", "json")
    status, out, err = run(*search, "--format", "json", "--explain")
    own, explained = out.splitlines()
    assert (status, own + "\n") == (0, native), err
    check(json.loads(explained)["explanation"], "text")
    _, out, err = run(*search, "--format", "trec", "--explain")
    assert [len(line.split()) for line in out.splitlines()] == [6, 6]
    assert "first stage: rank 1" in err
    _, out, _ = run(*search, "--explain")
    assert "uncalibrated" in out
    assert "not to the end; best chunk" in out


@pytest.mark.live
@pytest.mark.usefixtures("corpus")
def test_opensearch_explained(run, tiny_llama, client, opensearch_url):
    where = ("--engine", "opensearch", "--url", opensearch_url, "--index", f"explain-{uuid.uuid4().hex[:8]}")
    assert run("index", "corpus.jsonl", *where)[0] == 0
    search = ("search", "fox", *where, "--model", tiny_llama[1], *WORDS, *HALVES)
    status, out, err = run(*search, "--format", "json", "--explain")
    client.indices.delete(index=where[-1])
    assert status == 0, err
    own, explained = out.splitlines()
    assert {hit["_id"] for hit in json.loads(own)["hits"]["hits"]} == {"a", "b"}
    check(json.loads(explained)["explanation"], "text")
