"""TREC DL 2019 through the command line: the published first stage, and the embedded models over it."""

from __future__ import annotations

import gzip
import json

import pytest

from sidecar.cli.main import main

pytestmark = pytest.mark.data


def measured(first_stage, qrels, model, output, capsys):
    """Rerank candidate lists and return the nDCG@10 of the first stage and of the run."""
    for words in (
        ["rerank", first_stage, "--output", output, "--format", "trec", "--model", model, "--device", "cpu"],
        ["evaluate", first_stage, output, "--qrels", qrels, "--json"],
    ):
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        assert end.value.code == 0
    return [one["values"]["nDCG@10"] for one in json.loads(capsys.readouterr().out)]


@pytest.mark.soak
@pytest.mark.parametrize(("model", "figure"), [("minilm", 0.6424), ("minilm-reranker", 0.6707)])
def test_the_embedded_models_on_trec_dl_2019(judged, tmp_path, capsys, model, figure):
    folder = judged / "trec-dl19-passage"
    found = measured(folder / "candidates.bm25.jsonl.gz", folder / "qrels.tsv", model, tmp_path / "dl19.trec", capsys)
    assert found == [pytest.approx(0.5058, abs=5e-5), pytest.approx(figure, abs=1e-3)]


@pytest.mark.parametrize(("model", "figure"), [("minilm", 0.7868), ("minilm-reranker", 0.8081)])
def test_the_embedded_models_on_its_first_five_queries(judged, tmp_path, capsys, model, figure):
    """The same commands in a ninth of the time, for every run of the tests."""
    folder = judged / "trec-dl19-passage"
    with gzip.open(folder / "candidates.bm25.jsonl.gz", "rt", encoding="utf-8") as lines:
        some = [next(lines) for _ in range(5)]
    queries = {json.loads(line)["query_id"] for line in some}
    (tmp_path / "some.jsonl").write_text("".join(some), encoding="utf-8")
    judgements = (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "qrels.tsv").write_text("".join(line for line in judgements if line.split()[0] in queries))
    found = measured(tmp_path / "some.jsonl", tmp_path / "qrels.tsv", model, tmp_path / "some.trec", capsys)
    assert found == [pytest.approx(0.5720, abs=5e-5), pytest.approx(figure, abs=1e-3)]
