"""`--min-relevance` of `rerank` with the default model, which is calibrated; `search` and `run` build the same way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import sidecar

QUESTION = "how long do fleas live"
TEXTS = ["Dogs bark.", "Fleas live for about 100 days.", "The life span of a flea is two to three months.", ""]


@pytest.fixture
def lists(tmp_path):
    candidates = [{"docid": f"d{i}", "score": 9.0 - i, "text": text} for i, text in enumerate(TEXTS)]
    other = [{"docid": "x", "score": 1.0, "text": "Bread is baked."}]
    (tmp_path / "lists.jsonl").write_text(
        json.dumps({"query_id": "1", "query": QUESTION, "candidates": candidates})
        + "\n"
        + json.dumps({"query_id": "2", "query": QUESTION, "candidates": other})
        + "\n"
    )
    return tmp_path


def docids(path):
    return [[hit["docid"] for hit in json.loads(line)["candidates"]] for line in path.read_text().splitlines()]


def test_what_is_less_relevant_is_left_out_of_a_run(lists, run):
    words = ("rerank", "lists.jsonl", "--fusion", "rerank", "--output")
    status, _, said = run(*words, "whole.jsonl")
    assert status == 0, said
    assert docids(lists / "whole.jsonl") == [["d2", "d1", "d0", "d3"], ["x"]]
    status, _, said = run(*words, "cut.jsonl", "--min-relevance", "0.05")
    assert status == 0, said
    assert "; 3 hits below 0.05 left out" in said
    assert docids(lists / "cut.jsonl") == [["d2", "d1"], []]
    manifest = json.loads((lists / "cut.jsonl.manifest.json").read_text())
    assert (manifest["settings"]["min_relevance"], manifest["hits"]) == (0.05, 2)
    # The window is what is judged: a hit beyond it is not known to be relevant.
    assert run(*words, "narrow.jsonl", "--min-relevance", "0.05", "--window", "2")[0] == 0
    assert docids(lists / "narrow.jsonl") == [["d1"], []]


def test_a_threshold_is_refused_where_it_has_no_meaning(lists, run):
    model = lists / "uncalibrated"
    shutil.copytree(Path(sidecar.__file__).parent / "models" / "e5-small", model)
    manifest = json.loads((model / "sidecar.json").read_text())
    (model / "sidecar.json").write_text(json.dumps(manifest | {"score_mapping": None}))
    words = ("rerank", "lists.jsonl", "--output", "out.jsonl", "--min-relevance")
    status, _, said = run(*words, "0.5", "--model", model)
    assert status != 0
    assert "min_relevance needs a calibrated model" in said
    assert not (lists / "out.jsonl").exists()
    assert run(*words, "1.5")[0] != 0
    assert run(*words, "nan")[0] != 0
