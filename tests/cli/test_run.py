"""`sidecar run`: the run, the first stage and the manifest beside it; how it is cut off is in `test_stopped.py`."""

from __future__ import annotations

import json

import pytest

from sidecar.experiments.run_reading import read_run

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]


@pytest.fixture(scope="module")
def index(jvm, tmp_path_factory):
    del jvm
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    directory = tmp_path_factory.mktemp("run") / "index"
    build_index([Document(f"d{i:02}", f"Title {i}", "fox dog " + "filler " * i) for i in range(1, 41)], directory)
    return directory


@pytest.fixture
def words(tmp_path, index, tiny_llama):
    (tmp_path / "topics.tsv").write_text("".join(f"q{i}\tfox number {i}\n" for i in range(60)))

    def command(output: str, *more: str) -> list[str]:
        own = ["run", "--topics", str(tmp_path / "topics.tsv"), "--index", str(index), "--output", output]
        return [*own, "--model", str(tiny_llama[1]), "--device", "cpu", "--hits", "30", "--window", "20", *more]

    return command


def test_what_lies_beyond_the_window_follows_as_bm25_had_it(tmp_path, words, run):
    status, _, said = run(*words("run.trec"))
    assert status == 0, said
    assert "60 queries, 1200 passages scored in " in said
    reranked, first = read_run(tmp_path / "run.trec"), read_run(tmp_path / "run.trec.first-stage")
    assert len(reranked) == len(first) == 60
    by_bm25 = [f"d{i:02}" for i in range(1, 31)]
    assert list(first["q0"]) == by_bm25
    # Reranked are the first twenty; the rest follows as BM25 had it.
    assert set(list(reranked["q0"])[:20]) == set(by_bm25[:20])
    assert list(reranked["q0"])[:20] != by_bm25[:20]
    assert list(reranked["q0"])[20:] == by_bm25[20:]

    manifest = json.loads((tmp_path / "run.trec.manifest.json").read_text())
    assert manifest["command"] == "run"
    assert (manifest["queries"], manifest["hits"], manifest["passages_scored"]) == (60, 60 * 30, 60 * 20)
    stage = manifest["first_stage"]
    assert (stage["engine"], stage["k1"], stage["b"], stage["rm3"], stage["hits"]) == ("lucene", 0.9, 0.4, False, 30)
    assert stage["index"].endswith("(40 documents)")
    assert manifest["model"]["engine"] == "packed"
    assert manifest["model"]["placement"].startswith("cpu (")
    assert {"rerank-sidecar", "python", "torch", "transformers", "pyserini"} <= manifest["versions"].keys()


def test_candidate_lists_carry_the_stored_documents(tmp_path, words, run):
    status, _, said = run(*words("run.jsonl", "--output-format", "jsonl"))
    assert status == 0, said
    line = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])
    assert line["query"] == {"text": "fox number 0", "qid": "q0"}
    assert {hit["docid"]: hit["doc"]["title"] for hit in line["candidates"]}["d07"] == "Title 7"


def test_a_query_of_too_many_words_stops_nothing_and_a_query_is_no_hit_of_its_own(tmp_path, words, run):
    command = words("run.trec", "--remove-query")
    long = " ".join(f"word{n}" for n in range(1100))
    (tmp_path / "topics.tsv").write_text(f"qid\tquery\nq1\tfox\nlong\t{long}\nd05\tfox dog\n")
    status, _, said = run(*command)
    assert status == 0, said
    assert "query 'long' has no candidates: Lucene can't search for" in said
    assert "; 1 queries have no candidate: long" in said
    reranked, first = read_run(tmp_path / "run.trec"), read_run(tmp_path / "run.trec.first-stage")
    assert {qid: len(hits) for qid, hits in reranked.items()} == {"q1": 30, "d05": 30}
    assert "d05" in reranked["q1"]
    assert "d05" not in reranked["d05"]
    assert list(first["d05"]) == [f"d{n:02}" for n in range(1, 32) if n != 5]
    manifest = json.loads((tmp_path / "run.trec.manifest.json").read_text())
    assert (manifest["queries"], manifest["queries_without_candidates"]) == (3, ["long"])
    assert manifest["first_stage"]["remove_query"] is True
