"""`search` and `run` with RM3, a prebuilt index by name, and a Pyserini server instead of a local index."""

from __future__ import annotations

import json
import shutil

import pytest

from connectors.pyserini import LuceneIndex, Rm3
from connectors.pyserini.build import build_index
from sidecar.cli.effects import SearchEngine, in_effect
from sidecar.cli.factories import identity
from sidecar.cli.first_stages import SEARCHED
from sidecar.cli.options import BM25, RM3
from sidecar.core.corpus import Document
from sidecar.experiments.run_reading import read_run
from sidecar.settings import load_settings
from tests.support.servers.stand_in_server import says, standing_in


@pytest.fixture(scope="module")
def index(jvm, tmp_path_factory):
    del jvm
    directory = tmp_path_factory.mktemp("options") / "index"
    # "cat" comes with "dog", so RM3 finds d3 by it.
    texts = ["dog cat cat", "dog cat cat cat", "cat mouse", *(f"filler{i}" for i in range(40))]
    build_index([Document(f"d{i}", "", text) for i, text in enumerate(texts, start=1)], directory)
    return directory


@pytest.fixture
def run(run, tmp_path, tiny_llama):
    """Run a command in a folder with topics, on a tiny model; returns exit status, stdout and stderr."""
    (tmp_path / "topics.tsv").write_text("q1\tdog\n")
    return lambda *words: run(*words, "--model", tiny_llama[1], "--device", "cpu")


@pytest.mark.live
def test_rm3_in_a_run(run, tmp_path, index):
    topics = ("run", "--topics", "topics.tsv", "--index", index, "--output")
    assert run(*topics, "bm25.trec")[0] == 0
    assert run(*topics, "rm3.trec", "--rm3", "--rm3-original-query-weight", 0.3, "--rm3-fb-terms", 5)[0] == 0
    assert sorted(read_run(tmp_path / "bm25.trec")["q1"]) == ["d1", "d2"]
    assert sorted(read_run(tmp_path / "rm3.trec")["q1"]) == ["d1", "d2", "d3"]
    with LuceneIndex(index, rm3=Rm3(fb_terms=5, original_query_weight=0.3)) as widened:
        expected = {hit.docid: hit.score for hit in widened.search("dog")}
    assert read_run(tmp_path / "rm3.trec.first-stage")["q1"] == pytest.approx(expected)


@pytest.mark.parametrize("changed", [{"rm3_fb_terms": 5}, {"rm3_fb_docs": 5}, {"rm3_original_query_weight": 0.3}])
def test_what_rm3_was_set_to_is_part_of_a_run(tmp_path, monkeypatch, changed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topics.tsv").write_text("q1\tdog\n")

    def made_by(flags):
        settings = load_settings(flags)
        names = in_effect(BM25 + RM3, settings, SEARCHED, engine=SearchEngine.LUCENE)
        return identity(settings, {"input": tmp_path / "topics.tsv"}, "trec", names)

    one, other = made_by({"rm3": True}), made_by({"rm3": True, **changed})
    assert {name for name in one if one[name] != other[name]} == set(changed)
    # Without RM3 it is no part of it.
    assert made_by({}) == made_by(changed) == {**{name: one[name] for name in made_by({})}, "rm3": False}


@pytest.mark.live
def test_a_prebuilt_index_by_name(run, tmp_path, index, monkeypatch):
    name = "lucene-inverted.msmarco-v1-passage.20221004.252b5e.678876e8c99a89933d553609a0fd8793"
    shutil.copytree(index, tmp_path / "cache" / "indexes" / name)
    monkeypatch.setenv("PYSERINI_CACHE", str(tmp_path / "cache"))
    status, out, _ = run("search", "dog", "--index", "msmarco-v1-passage", "--format", "json")
    assert status == 0
    answer = json.loads(out)
    assert answer["index"] == "msmarco-v1-passage"
    assert sorted(hit["docid"] for hit in answer["candidates"]) == ["d1", "d2"]


FOUND = {
    "candidates": [
        {"docid": "a", "score": 3.5, "doc": "a dog"},
        {"docid": "b", "score": 2.5, "doc": {"title": "Cats", "text": "no dog", "n": [0.5]}},
        {"docid": "c", "score": 1.5, "doc": None},
    ]
}


def test_a_server_in_the_place_of_an_index(run, tmp_path, monkeypatch, messages):
    monkeypatch.setenv("SIDECAR_PYSERINI_API_KEY", "hunter2")
    with standing_in() as server:
        server.will_answer(says(FOUND))
        there = ("--pyserini-url", server.url, "--index", "mine", "--window", 2)
        status, out, err = run("search", "dog", *there, "--format", "json")
        assert (status, messages(err)) == (0, [])
        answer = json.loads(out)
        docs = {hit["docid"]: hit["doc"] for hit in answer["candidates"]}
        assert (answer["api"], answer["index"], answer["query"]) == ("v1", "mine", {"text": "dog"})
        assert docs == {hit["docid"]: hit["doc"] for hit in FOUND["candidates"]}
        assert [hit["docid"] for hit in answer["candidates"]][2] == "c"
        assert run("run", "--topics", "topics.tsv", "--output", "run.trec", "--k1", 1.2, *there)[0] == 0
    first_stage = read_run(tmp_path / "run.trec.first-stage")
    assert first_stage == {"q1": {"a": 3.5, "b": 2.5, "c": 1.5}}
    assert [path for path, _ in server.asked] == [
        "/v1/mine/search?query=dog&hits=10&parse=true",
        "/v1/mine/search?query=dog&hits=1000&parse=true&k1=1.2&b=0.4",
    ]
    assert {headers["x-api-key"] for _, headers in server.asked} == {"hunter2"}


def test_what_a_server_can_not_do(run):
    there = ("--pyserini-url", "http://127.0.0.1:9", "--index", "mine")
    status, _, err = run("search", "dog", *there, "--rm3")
    assert (status, err.splitlines()[0]) == (1, "error: --rm3 has no effect here: a Pyserini server has no RM3.")
    status, _, err = run("search", "dog", *there)
    assert (status, "can't be reached" in err) == (1, True)
