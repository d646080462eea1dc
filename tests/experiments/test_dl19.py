"""TREC DL 2019 through the command line: the published first stage, and the default model alone and as shipped."""

from __future__ import annotations

import gzip
import json

import pytest

from sidecar.cli.main import main

pytestmark = pytest.mark.data


def figures(first_stage, qrels, folder, capsys):
    """Return the nDCG@10 of the first stage, of the default model alone and as shipped, and the fusion it used."""
    alone, shipped = folder / "alone.trec", folder / "shipped.trec"
    # The scores are computed once: a fusion changes none of them.
    rerank = ["rerank", first_stage, "--format", "trec", "--device", "cpu", "--score-file", folder / "scores"]
    for words in (
        [*rerank, "--output", alone, "--fusion", "rerank"],
        [*rerank, "--output", shipped],
        ["evaluate", first_stage, alone, shipped, "--qrels", qrels, "--json"],
    ):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert end.value.code == 0
    manifest = json.loads((folder / "shipped.trec.manifest.json").read_text())
    assert manifest["model"]["fusion"] == {"method": "adaptive", "normalization": "min_max"}
    return [one["values"]["nDCG@10"] for one in json.loads(capsys.readouterr().out)]


@pytest.mark.soak
def test_the_default_model_on_trec_dl_2019(judged, tmp_path, capsys):
    folder = judged / "trec-dl19-passage"
    found = figures(folder / "candidates.bm25.jsonl.gz", folder / "qrels.tsv", tmp_path, capsys)
    assert found == [pytest.approx(0.5058, abs=5e-5), pytest.approx(0.698, abs=3e-3), pytest.approx(0.7042, abs=3e-3)]


def test_the_default_model_on_its_first_two_queries(judged, tmp_path, capsys):
    """The same commands in a twentieth of the time, for every run of the tests."""
    folder = judged / "trec-dl19-passage"
    with gzip.open(folder / "candidates.bm25.jsonl.gz", "rt", encoding="utf-8") as lines:
        some = [next(lines) for _ in range(2)]
    queries = {json.loads(line)["query_id"] for line in some}
    (tmp_path / "some.jsonl").write_text("".join(some), encoding="utf-8")
    judgements = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "qrels.tsv").write_text("".join(line for line in judgements if line.split()[0] in queries))
    found = figures(tmp_path / "some.jsonl", tmp_path / "qrels.tsv", tmp_path, capsys)
    assert found == [pytest.approx(0.6748, abs=5e-5), pytest.approx(0.9336, abs=3e-3), pytest.approx(0.9222, abs=3e-3)]
