"""docs/TRAINING.md runs as it is written, at toy size: here on a Lucene index, in tests/live on OpenSearch, served."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.support.training.five_commands import MARGIN, commands, done, figures, folder

__all__ = ["folder"]
pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]

# What a Lucene index needs no word of.
ELSEWHERE = {"--url", "http://localhost:9200"}


def test_an_adapter_of_ones_own_beats_bm25_on_unseen_queries(folder, tiny_llama, tiny_bert, capsys):
    done(["index", "corpus.jsonl", "--index", "docs-index"])
    mine, teach, train, run, evaluate, _ = commands(tiny_llama, tiny_bert, docs="docs-index", opensearch="lucene")
    for words in (mine, teach, train, run):
        done([word for word in words if word not in ELSEWHERE])
    first, reranked = figures(evaluate, capsys)
    assert reranked > first + MARGIN
    card = (folder / "my-reranker" / "README.md").read_text()
    assert "sidecar train train.jsonl.gz --teacher-scores teacher.jsonl" in card
    with gzip.open(folder / "train.jsonl.gz", "rt") as file:
        lists = [json.loads(line) for line in file]
    assert len(lists) == 48
    assert {one["label"] for one in lists[0]["candidates"]} == {0, 1}


def test_an_evaluation_query_among_the_training_queries_stops_it_before_it_begins(
    folder, tiny_llama, tiny_bert, capsys
):
    done(["index", "corpus.jsonl", "--index", "docs-index"])
    mine, _, train, *_ = commands(tiny_llama, tiny_bert, docs="docs-index", opensearch="lucene")
    done([word for word in mine if word not in ELSEWHERE])
    (folder / "test.tsv").write_text("999\tABOUT  thing7?\n")
    alone = [word for word in train if word not in {"--teacher-scores", "teacher.jsonl"}]
    words = [*alone, "--distillation-weight", "0"]
    assert "1 are evaluated on" in done(words, status=1, capsys=capsys)
    assert not (folder / "my-reranker").exists()
    said = done([*words, "--leaks", "drop", "--epochs", "0.1"], capsys=capsys)
    assert "1 were left out" in said
    assert (folder / "my-reranker" / "adapter_model.safetensors").is_file()
