"""TREC DL 2019 through the command line: the published first stage, and the embedded model over it."""

from __future__ import annotations

import json

import pytest

from sidecar.cli.main import main

pytestmark = pytest.mark.data


def test_the_embedded_model_on_trec_dl_2019(judged, tmp_path, capsys):
    folder = judged / "trec-dl19-passage"
    first_stage, run = folder / "candidates.bm25.jsonl.gz", tmp_path / "dl19.trec"
    for words in (
        ["rerank", first_stage, "--output", run, "--format", "trec", "--device", "cpu"],
        ["evaluate", first_stage, run, "--qrels", folder / "qrels.tsv", "--json"],
    ):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert end.value.code == 0
    found = json.loads(capsys.readouterr().out)
    by_stage = [one["values"]["nDCG@10"] for one in found]
    assert by_stage == [pytest.approx(0.5058, abs=5e-5), pytest.approx(0.6424, abs=1e-3)]
