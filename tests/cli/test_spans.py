"""`sidecar search --spans` and `--min-relevance` with the default model: what a person and a program see."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]

SEARCH = ("search", "how long does a flea live", "--index", "lucene")


@pytest.fixture
def index(tmp_path, run):
    texts = {"a": "Dogs bark. Fleas live for about \x1b[31m100 days. They are small.", "b": "A flea is not bread."}
    lines = [json.dumps({"_id": docid, "title": "", "text": text}) for docid, text in texts.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    assert run("index", "corpus.jsonl", "--index", "lucene")[0] == 0
    return texts


def test_the_best_sentences_of_each_hit_are_shown(index, run):
    status, out, said = run(*SEARCH, "--spans", "1")
    assert status == 0, said
    # The escape character that would colour the terminal is gone.
    assert "  Fleas live for about [31m100 days.\n" in out
    assert "\x1b[31m100" not in out
    _, out, _ = run(*SEARCH, "--spans", "1", "--format", "json")
    [found] = [one["spans"] for one in json.loads(out.splitlines()[1])["spans"] if one["docid"] == "a"]
    assert [index["a"][one["start"] : one["end"]] for one in found] == ["Fleas live for about \x1b[31m100 days."]


def test_a_threshold_leaves_hits_out_and_says_so(index, run):
    del index
    status, out, said = run(*SEARCH, "--min-relevance", "0.99", "--spans", "1", "--format", "json")
    assert (status, json.loads(out.splitlines()[0])["candidates"]) == (0, [])
    assert "hits left out by --min-relevance 0.99: 2\n" in said
