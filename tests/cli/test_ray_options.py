"""The options of `--ray` where there is no Ray, and where they have no effect; runs on Ray are in `integrations`."""

from __future__ import annotations

import sys

import pytest

LIST = '{"query_id": "q", "query": "fox", "candidates": [{"docid": "d", "score": 1, "text": "fox"}]}\n'


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--ray-workers", "2"], "--ray-workers has no effect here: there is no cluster without --ray."),
        (["--ray-address", "a:1", "--ray-gpus", "1"], "--ray-address, --ray-gpus have no effect here"),
        (["--ray", "--model", "http://localhost:1/"], "--ray has no effect here: a remote model computes on its own"),
        (["--ray", "--score-file", "scores.db"], "the workers of --ray have no score file in common"),
    ],
)
def test_an_option_without_effect_is_refused(run, tmp_path, option, said):
    (tmp_path / "lists.jsonl").write_text(LIST)
    status, _, message = run("rerank", "lists.jsonl", "--output", "out", *option)
    assert (status, said in message) == (1, True), message


def test_a_missing_ray_is_named_with_its_extra(run, tmp_path, monkeypatch):
    (tmp_path / "lists.jsonl").write_text(LIST)
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, message = run("rerank", "lists.jsonl", "--output", "out", "--ray")
    assert status == 1
    assert "pip install 'rerank-sidecar[ray]'" in message
    assert [path.name for path in tmp_path.iterdir()] == ["lists.jsonl"]
