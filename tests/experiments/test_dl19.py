"""TREC DL 2019 through the command line: the published first stage, and the embedded models over it."""

from __future__ import annotations

import json

import pytest

from sidecar.cli.main import main

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("model", "figure"), [("minilm", 0.6424), ("minilm-reranker", 0.6707)])
def test_the_embedded_models_on_trec_dl_2019(judged, tmp_path, capsys, model, figure):
    folder = judged / "trec-dl19-passage"
    first_stage, run = folder / "candidates.bm25.jsonl.gz", tmp_path / "dl19.trec"
    for words in (
        ["rerank", first_stage, "--output", run, "--format", "trec", "--model", model, "--device", "cpu"],
        ["evaluate", first_stage, run, "--qrels", folder / "qrels.tsv", "--json"],
    ):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert end.value.code == 0
    found = json.loads(capsys.readouterr().out)
    by_stage = [one["values"]["nDCG@10"] for one in found]
    assert by_stage == [pytest.approx(0.5058, abs=5e-5), pytest.approx(figure, abs=1e-3)]
