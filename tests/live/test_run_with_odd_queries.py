"""`sidecar run` over OpenSearch: a query that OpenSearch can't search for is named, and the others go on."""

from __future__ import annotations

import json
import uuid

import pytest

from sidecar.cli.main import main
from sidecar.experiments.run_reading import read_run

pytestmark = pytest.mark.live


def test_a_query_of_too_many_words_stops_nothing(tmp_path, monkeypatch, capsys, client, opensearch_url, tiny_llama):
    from connectors.opensearch.admin.bulk import load
    from sidecar.core.corpus import Document

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    index = f"odd-{uuid.uuid4().hex[:8]}"
    load(client, index, [Document(f"d{n}", "", f"a red fox {n}") for n in range(3)])
    long = " ".join(f"word{n}" for n in range(1100))
    (tmp_path / "topics.tsv").write_text(f"q1\tfox\nlong\t{long}\nd0\tred\n")
    words = ["run", "--url", opensearch_url, "--engine", "opensearch", "--index", index, "--topics", "topics.tsv"]
    words += ["--output", "run.trec", "--model", str(tiny_llama[1]), "--device", "cpu", "--remove-query"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    client.indices.delete(index=index)
    said = capsys.readouterr().err
    assert "query 'long' has no candidates: OpenSearch can't search for this query" in said
    assert {qid: set(hits) for qid, hits in read_run(tmp_path / "run.trec").items()} == {
        "q1": {"d0", "d1", "d2"},
        "d0": {"d1", "d2"},
    }
    manifest = json.loads((tmp_path / "run.trec.manifest.json").read_text())
    assert manifest["queries_without_candidates"] == ["long"]
