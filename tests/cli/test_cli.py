"""The command line as a person meets it: what is printed, what is written, what is said of a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from sidecar.core.errors import InputError
from sidecar.scoring.engines.packed.engine import PackedEngine
from sidecar.version import __version__

ROOT = Path(__file__).parents[2]
CANDIDATES = [
    {
        "query": {"text": "red fox", "qid": "q1"},
        "candidates": [
            {"docid": "a", "score": 3.0, "doc": {"title": "Dog", "contents": "a dog sleeps"}},
            {"docid": "b", "score": 2.0, "doc": {"contents": ""}},
            {"docid": "c", "score": 1.0, "doc": '{"contents": "a red fox jumps", "n": 0.10}'},
        ],
    },
    {"query_id": "q2", "query": "nothing found", "candidates": []},
]


@pytest.fixture
def candidates_file(tmp_path):
    path = tmp_path / "candidates.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in CANDIDATES))
    return path


def test_version(run):
    assert run("--version") == (0, f"rerank-sidecar {__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "sidecar", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"rerank-sidecar {__version__}\n")


def test_rerank_writes_candidate_lists(run, tmp_path, candidates_file, adapter):
    status, out, err = run("rerank", candidates_file, "--output", "out.jsonl", "--model", adapter)
    assert (status, out) == (0, "")
    assert "2 queries, 2 passages scored" in err
    assert "; 1 candidates without text were not scored" in err
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert second == {"query": {"text": "nothing found", "qid": "q2"}, "candidates": []}
    assert first["query"] == {"text": "red fox", "qid": "q1"}
    hits = first["candidates"]
    assert {hit["docid"] for hit in hits[:2]} == {"a", "c"}
    assert hits[0]["score"] == hits[0]["rerank_score"] > hits[1]["score"] == hits[1]["rerank_score"]
    assert hits[2] == {
        "docid": "b",
        "score": hits[1]["score"] - 1,
        "doc": {"contents": ""},
        "rerank_score": None,
        "first_stage_score": 2.0,
        "first_stage_rank": 2,
    }
    assert next(hit["doc"] for hit in hits if hit["docid"] == "c") == '{"contents": "a red fox jumps", "n": 0.10}'


def test_rerank_then_evaluate(run, tmp_path, candidates_file, adapter):
    (tmp_path / "qrels").write_text("q1 0 a 1\nq2 0 z 1\n")
    for run_format in ("trec", "msmarco", "jsonl"):
        words = ("rerank", candidates_file, "--output", f"run.{run_format}", "--format", run_format, "--model", adapter)
        assert run(*words, "--fusion", "linear", "--fusion-weight", "0")[0] == 0
    runs = [f"run.{run_format}" for run_format in ("trec", "msmarco", "jsonl")]
    status, out, _ = run("evaluate", *runs, "--qrels", "qrels", "--metrics", "RR@10,nDCG@10", "--json")
    # With all weight on the first stage `a` stays first: reciprocal rank 1 for q1, 0 for q2, which has no result.
    assert (status, [one["values"] for one in json.loads(out)]) == (0, [{"RR@10": 0.5, "nDCG@10": 0.5}] * 3)
    status, out, err = run("evaluate", "run.trec", "--qrels", "qrels", "--metrics", "RR@10")
    assert out.split() == ["run", "RR@10", "queries", "run.trec", "0.5000", "2"]
    assert "1 judged queries without a result count as 0" in " ".join(err.split())


def test_rerank_of_a_run_is_that_of_its_candidates(run, tmp_path, candidates_file, adapter):
    (tmp_path / "first.trec").write_text("q1 Q0 a 1 3 bm25\nq1 Q0 b 2 2 bm25\nq1 Q0 c 3 1 bm25\n")
    (tmp_path / "queries.tsv").write_text("q1\tred fox\nq2\tunasked\n")
    corpus = [{"id": hit["docid"], **as_object(hit["doc"])} for hit in CANDIDATES[0]["candidates"]]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in corpus))
    files = ("--run", "first.trec", "--queries", "queries.tsv", "--corpus", "corpus.jsonl")
    status, out, err = run("rerank", *files, "--output", "one.trec", "--format", "trec", "--model", adapter)
    assert (status, out) == (0, ""), err
    assert "1 queries, 3 documents, looked up in " in err
    assert run("rerank", candidates_file, "--output", "two.trec", "--format", "trec", "--model", adapter)[0] == 0
    assert (tmp_path / "one.trec").read_text() == (tmp_path / "two.trec").read_text()
    manifest = json.loads((tmp_path / "one.trec.manifest.json").read_text())
    assert manifest["first_stage"] == {"run": "first.trec", "queries": "queries.tsv", "corpus": "corpus.jsonl"}

    (tmp_path / "corpus.jsonl").write_text(json.dumps(corpus[0]) + "\n")
    status, _, err = run("rerank", *files, "--output", "three.trec", "--model", "never-loaded")
    assert (status, "corpus.jsonl lacks 2 of 3 documents: 'b', 'c'." in err) == (1, True)
    assert list(tmp_path.glob("*three*")) == []


def as_object(document):
    return json.loads(document) if isinstance(document, str) else document


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "there is nothing to rerank.\nGive CANDIDATES, or --run, --queries and --corpus together."),
        (("--run", "r"), "--queries, --corpus is missing."),
        (("candidates.jsonl", "--run", "r"), "a candidate file has its texts, and takes no --run."),
        (("candidates.jsonl", "--allow-missing"), "takes no --allow-missing."),
        (("--run", "r", "--queries", "q", "--corpus", "c"), "can't read r"),
    ],
)
def test_what_to_rerank_is_said_once(run, candidates_file, words, message):
    status, out, err = run("rerank", *words, "--output", "out")
    assert (status, out) == (1, "")
    assert message in err


def test_the_window_bounds_what_is_reranked(run, tmp_path, candidates_file, adapter):
    words = ("rerank", candidates_file, "--output", "run.jsonl", "--model", adapter, "--window", "1")
    assert run(*words)[0] == 0
    hits = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])["candidates"]
    assert [(hit["docid"], hit["rerank_score"] is None) for hit in hits] == [("a", False), ("b", True), ("c", True)]


def test_scores_are_kept_from_run_to_run(run, tmp_path, candidates_file, adapter, monkeypatch):
    calls = []

    def counted(engine, groups, logits=PackedEngine.logits):
        calls.append(sum(len(group) for group in groups))
        return logits(engine, groups)

    monkeypatch.setattr(PackedEngine, "logits", counted)
    words = ("rerank", candidates_file, "--model", adapter, "--score-file", "scores")
    assert run(*words, "--output", "one.jsonl")[0] == 0
    scored = sum(calls)
    assert scored == 2  # one of the three has no text
    assert run(*words, "--output", "two.jsonl")[0] == 0
    assert run(*words, "--output", "three.jsonl", "--fusion", "linear", "--window", "2")[0] == 0
    assert sum(calls) == scored
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert run(*words, "--output", "four.jsonl", "--max-length", "20")[0] == 0
    assert sum(calls) == 2 * scored

    (tmp_path / "scores").write_text("no scores at all, but long enough to be looked at. " * 30)
    status, _, err = run("rerank", candidates_file, "--output", "five", "--model", "x", "--score-file", "scores")
    assert (status, "scores is not a score file, or is damaged" in err) == (1, True)


def test_fields_that_hold_nothing_are_warned_of(run, tmp_path, candidates_file, adapter):
    words = ("rerank", candidates_file, "--output", "run.jsonl", "--model", adapter, "--text-fields", "abstract")
    status, _, err = run(*words, "--title-fields", "headline")
    assert status == 0
    assert "no candidate has text in headline, abstract, so nothing was reranked." in err
    assert "The documents have text in title, contents: set --text-fields or SIDECAR_TEXT_FIELDS." in err


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_index_and_search_lucene(run, tmp_path, adapter, messages):
    documents = [{"_id": f"d{i}", "title": f"Title {i}", "text": "fox " + "filler " * i} for i in range(1, 13)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    status, _, err = run("index", "corpus.jsonl", "--index", "lucene")
    assert (status, "12 documents in" in err) == (0, True), err
    status, _, err = run("index", "corpus.jsonl", "--index", "lucene")
    assert (status, "--overwrite" in err) == (1, True)

    search = ("search", "fox", "--index", "lucene", "--model", adapter, "--hits", "3", "--window", "5")
    status, out, err = run(*search, "--format", "json")
    found = json.loads(out)
    assert (status, messages(err)) == (0, [])
    assert (found["api"], found["index"], found["query"]) == ("v1", "lucene", {"text": "fox"})
    assert [hit["rank"] for hit in found["candidates"]] == [1, 2, 3]
    docids = [hit["docid"] for hit in found["candidates"]]
    assert set(docids) <= {"d1", "d2", "d3", "d4", "d5"}
    # As Anserini's server has it, the id stands beside the document alone.
    best = next(one for one in documents if one["_id"] == docids[0])
    assert found["candidates"][0]["doc"] == {"title": best["title"], "text": best["text"]}

    _, out, _ = run(*search, "--format", "trec")
    assert [line.split()[2] for line in out.splitlines()] == docids
    _, out, _ = run(*search)
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["BM25", "score", "reranked", "title", "move", "score"]
    assert [row[3:6] for row in rows[1:]] == [[docid, "Title", docid[1:]] for docid in docids]


@pytest.mark.live
def test_index_and_search_opensearch(run, tmp_path, adapter, client, opensearch_url, messages):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "a", "text": "red fox"}\n{"_id": "b", "text": "a fox"}\n')
    name = f"cli-{uuid.uuid4().hex[:8]}"
    where = ("--engine", "opensearch", "--url", opensearch_url, "--index", name)
    assert run("index", "corpus.jsonl", *where)[0] == 0
    status, _, err = run("index", "corpus.jsonl", *where)
    assert (status, "--overwrite" in err) == (1, True)
    status, out, err = run("search", "fox", *where, "--model", adapter, "--format", "json")
    found = json.loads(out)
    assert (status, messages(err)) == (0, [])
    assert found["hits"]["total"] == {"value": 2, "relation": "eq"}
    assert found["hits"]["max_score"] == found["hits"]["hits"][0]["_score"]

    (tmp_path / "topics.tsv").write_text("q1\tfox\nq2\tbadger\n")
    long_run = ("run", "--topics", "topics.tsv", *where, "--model", adapter, "--threads", "2")
    status, out, err = run(*long_run, "--output", "run.jsonl", "--output-format", "jsonl")
    assert (status, out) == (0, ""), err
    first, second = map(json.loads, (tmp_path / "run.jsonl").read_text().splitlines())
    assert [hit["docid"] for hit in first["candidates"]] == [hit["_id"] for hit in found["hits"]["hits"]]
    assert {hit["docid"]: hit["doc"] for hit in first["candidates"]} == {
        "a": {"title": "", "text": "red fox"},
        "b": {"title": "", "text": "a fox"},
    }
    assert second == {"query": {"text": "badger", "qid": "q2"}, "candidates": []}
    stage = json.loads((tmp_path / "run.jsonl.manifest.json").read_text())["first_stage"]
    assert (stage["engine"], stage["documents"], stage["url"]) == ("opensearch", 2, opensearch_url)
    assert stage["version"] == client.info()["version"]["number"]
    status, _, err = run(*long_run, "--output", "none", "--text-fields", "title", "--title-fields", "headline")
    assert (status, "none of the 2 queries has a candidate" in err) == (1, True)
    assert list(tmp_path.glob("*none*")) == []
    assert run("search", "red fox", *where, "--model", adapter, "--hits", "10001")[0] != 0

    client.indices.delete(index=name)
    assert run("search", "fox", *where[:-1], "nowhere", "--model", adapter)[2].startswith(
        "error: OpenSearch answered 404: no such index [nowhere]"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rerank", "missing.jsonl", "--output", "out"), "can't read missing.jsonl"),
        (
            ("rerank", "candidates.jsonl", "--output", "out", "--model", "dear-3b-ranknet"),
            "'dear-3b-ranknet' is neither",
        ),
        (
            ("rerank", "candidates.jsonl", "--output", "out", "--fusion", "geometric", "--normalization", "z_score"),
            "a geometric mean is not defined for negative scores",
        ),
        (("search", "fox", "--index", "missing"), "There is no directory 'missing'"),
        (("search", "fox", "--index", "x", "--engine", "opensearch", "--url", "http://127.0.0.1:9"), "no connection"),
        (("search", "fox", "--index", "x", "--engine", "opensearch", "--url", "localhost"), "the OpenSearch URL"),
        (("evaluate", "missing", "--qrels", "missing"), "can't read missing"),
        (("index", "missing.jsonl", "--index", "lucene"), "can't read missing.jsonl"),
    ],
)
def test_a_mistake_is_one_message_without_traceback(run, tmp_path, candidates_file, words, message):
    status, out, err = run(*words)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_output(run, candidates_file):
    status, _, err = run("rerank", candidates_file, "--output", ".")
    assert (status, "'.' is a directory" in err) == (2, True)


def test_debug_shows_the_traceback(run):
    with pytest.raises(InputError, match="can't read missing"):
        run("--debug", "evaluate", "missing", "--qrels", "missing")


def test_an_unknown_variable_is_named(run, monkeypatch):
    monkeypatch.setenv("SIDECAR_WINDW", "3")
    status, _, err = run("settings")
    assert (status, err.splitlines()[0]) == (1, "error: SIDECAR_WINDW is no setting, did you mean SIDECAR_WINDOW?")


def test_settings_say_where_a_value_comes_from(run, monkeypatch):
    monkeypatch.setenv("SIDECAR_WINDOW", "77")
    assert json.loads(run("settings", "--json")[1])["window"] == 77


def test_a_namesake_is_named(run, monkeypatch, tmp_path):
    (tmp_path / "connectors-1.2.dist-info").mkdir()
    (tmp_path / "connectors-1.2.dist-info" / "METADATA").write_text("Name: connectors\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    status, _, err = run("settings")
    assert (status, "the distribution 'connectors' 1.2 is installed here" in err) == (1, True)
    assert "pip uninstall connectors" in err


@pytest.mark.parametrize("files", [["__init__.py"], []])
def test_a_folder_of_our_packages_name_is_named(tmp_path, files):
    (tmp_path / "connectors").mkdir()
    for name in files:
        (tmp_path / "connectors" / name).write_text("")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    shadowed = (
        f"`import connectors` gives {tmp_path / 'connectors'}, which is not rerank-sidecar's package of that name."
    )

    def said(*words):
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )
        return done.returncode, done.stderr

    imported, commanded = said("-c", "import sidecar; sidecar.load_reranker"), said("-m", "sidecar", "settings")
    if not files:  # a folder that is no package gives way to ours
        assert (imported, commanded) == ((0, ""), (0, ""))
        return
    assert imported[0] == 0
    assert f"RuntimeWarning: {shadowed} Rename that folder" in imported[1]
    assert commanded[0] == 1
    assert f"error: {shadowed}" in commanded[1]


def test_a_malformed_line_costs_nothing(run, tmp_path, candidates_file):
    (tmp_path / "out").write_text("before")
    with candidates_file.open("a") as file:
        file.write("{broken\n")
    status, _, err = run("rerank", candidates_file, "--output", "out", "--model", "never-loaded", "--force")
    assert (status, "candidates.jsonl:3: no candidate list" in err) == (1, True)
    assert (tmp_path / "out").read_text() == "before"
