"""Odd files are taken as they are meant by each command, or refused before anything is scored."""

from __future__ import annotations

import json
import os

import pytest

from sidecar.cli.first_stages import Stage
from sidecar.core.candidates import Candidate, FirstStage, Passage
from sidecar.core.errors import InputError
from sidecar.experiments.run_reading import read_run

NEVER = ("--model", "never-loaded")


@pytest.fixture
def columns():
    """Wide enough for every message to stay on one line."""
    return 400


@pytest.fixture
def write(tmp_path):
    def written(name, *lines):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return path

    return written


@pytest.fixture
def adapter(tiny_llama):
    return tiny_llama[1]


def candidates(qid="q1", *docids):
    return {"query_id": qid, "query": "fox", "candidates": [{"docid": docid, "text": f"a {docid}"} for docid in docids]}


@pytest.mark.parametrize("run_format", ["trec", "msmarco"])
@pytest.mark.parametrize(
    ("line", "what"),
    [
        (candidates("q 1", "a"), "query id 'q 1'"),
        (candidates("q1", "a", "b c"), "document id 'b c'"),
        (candidates("q1", "b\nc"), r"document id 'b\nc'"),
        (candidates("q1", "b\u00a0c"), r"document id 'b\xa0c'"),
        (candidates("", "a"), "query id ''"),
        (candidates("q1", ""), "document id ''"),
    ],
)
def test_an_id_that_a_run_can_not_hold_is_refused_before_anything_is_scored(run, write, run_format, line, what):
    path = write("c.jsonl", candidates("q0", "fine"), line)
    status, _, err = run("rerank", path, "--output", "run", "--format", run_format, *NEVER)
    assert (status, f"c.jsonl:2: query {line['query_id']!r} has the {what}, which a run can't hold." in err) == (
        1,
        True,
    )


def test_the_format_jsonl_holds_white_space_in_ids_but_no_empty_ones(run, write, adapter):
    path = write("c.jsonl", candidates("q 1", "a b"))
    assert run("rerank", path, "--output", "run.jsonl", "--model", adapter)[0] == 0
    assert list(read_run(path.with_name("run.jsonl"))) == ["q 1"]
    write("c.jsonl", candidates("q1", ""))
    status, _, err = run("rerank", path, "--output", "other.jsonl", *NEVER)
    assert (status, "has the document id '', which a run can't hold" in err) == (1, True)


@pytest.mark.parametrize("tag", ["my run", "", "a\nb"])
def test_a_tag_is_one_word(run, write, tag):
    path = write("c.jsonl", candidates("q1", "a"))
    status, _, err = run("rerank", path, "--output", "run", "--format", "trec", "--tag", tag, *NEVER)
    assert (status, f"the tag {tag!r} can't be a column of a run." in err) == (1, True)


def test_a_run_without_a_candidate_is_an_error_and_one_query_without_is_named(run, write, tmp_path, adapter):
    path = write("c.jsonl", candidates("q1"), candidates("q2"))
    status, _, err = run("rerank", path, "--output", "run.trec", "--format", "trec", "--model", adapter)
    assert (status, "none of the 2 queries has a candidate" in err, "--resume" in err) == (1, True, False)
    assert [one.name for one in tmp_path.iterdir()] == ["c.jsonl"]
    write("c.jsonl", candidates("q1"), candidates("q2", "a"))
    status, _, err = run("rerank", path, "--output", "run.trec", "--format", "trec", "--model", adapter)
    assert (status, "; 1 queries have no candidate: q1" in err) == (0, True)
    assert json.loads((tmp_path / "run.trec.manifest.json").read_text())["queries_without_candidates"] == ["q1"]


def test_pairs_in_no_order_are_reranked_whole_or_not_at_all(run, write, adapter):
    path = write("top1000.dev", *(f"7\td{n}\tred fox\tpassage {n}" for n in range(3)))
    words = ("rerank", path, "--output", "run.trec", "--format", "trec")
    status, _, err = run(*words, "--window", "2", *NEVER)
    message = "query '7' has 3 candidates without an order, of which only 2 would be reranked"
    assert (status, message in err) == (1, True)
    status, _, err = run(*words, "--fusion", "rrf", *NEVER)
    assert (status, "candidates without first-stage scores, which a fusion needs" in err) == (1, True)
    assert run(*words, "--window", "3", "--model", adapter)[0] == 0
    assert set(read_run(path.with_name("run.trec"))["7"]) == {"d0", "d1", "d2"}


def test_of_pairs_in_no_order_the_model_alone_decides_even_if_it_prefers_a_fusion(run, write, tmp_path):
    write("top1000.dev", *(f"7\td{n}\tred fox\t{text}" for n, text in enumerate(["a slow car", "a red fox", "fog"])))
    for name, more in (("preferred", ()), ("alone", ("--fusion", "rerank"))):
        words = ("rerank", "top1000.dev", "--output", name, "--format", "trec", "--device", "cpu", *more)
        assert run(*words)[0] == 0
    preferred, alone = (read_run(tmp_path / name)["7"] for name in ("preferred", "alone"))
    assert list(preferred) == list(alone)
    assert next(iter(alone)) == "d1"


def test_the_query_itself_is_no_candidate_where_that_is_asked(run, write, tmp_path, adapter):
    path = write("c.jsonl", candidates("d1", "d2", "d1", "d3"), candidates("q2", "d1"))
    words = ("rerank", path, "--output", "run.jsonl", "--model", adapter)
    assert run(*words, "--remove-query")[0] == 0
    first, second = map(json.loads, (tmp_path / "run.jsonl").read_text().splitlines())
    found = {hit["docid"]: (hit["first_stage_rank"], hit["doc"]["text"]) for hit in first["candidates"]}
    assert found == {"d2": (1, "a d2"), "d3": (2, "a d3")}
    assert [hit["docid"] for hit in second["candidates"]] == ["d1"]
    assert json.loads((tmp_path / "run.jsonl.manifest.json").read_text())["settings"]["remove_query"] is True


def test_a_manifest_holds_json_values_and_what_came_from_the_score_file(run, write, tmp_path, adapter):
    path = write("c.jsonl", candidates("q1", "a", "b"))
    words = ("rerank", path, "--model", adapter, "--score-file", "scores", "--output")
    status, _, err = run(*words, "one.jsonl")
    assert (status, "1 queries, 2 passages scored in " in err, "/s)" in err) == (0, True, True)
    manifest = json.loads((tmp_path / "one.jsonl.manifest.json").read_text())
    chosen = manifest["settings"]
    assert (chosen["title_fields"], chosen["base_model"], chosen["batch_invariant"]) == (["title"], None, False)
    assert (chosen["window"], chosen["fusion"], chosen["format"]) == (100, None, "jsonl")
    assert manifest["model"]["fusion"] == {"method": "rerank"}
    assert manifest["passages_from_score_file"] == 0
    status, _, err = run(*words, "two.jsonl")
    assert "1 queries, 0 passages scored and 2 taken from the score file in " in err
    assert "/s)" not in err
    manifest = json.loads((tmp_path / "two.jsonl.manifest.json").read_text())
    assert (manifest["passages_scored"], manifest["passages_from_score_file"]) == (2, 2)


def test_a_pilot_is_evaluated_over_its_own_queries(run, write):
    write("qrels", *(f"q{n} 0 d{n} 1" for n in range(20)))
    write("one.trec", "q0 Q0 d0 1 2 t", "q1 Q0 x 1 2 t", "q1 Q0 d1 2 1 t")
    write("two.trec", "q0 Q0 d0 1 2 t")

    def values(*words):
        status, out, err = run("evaluate", *words, "--qrels", "qrels", "--metrics", "RR@10", "--json")
        assert status == 0, err
        return [(one["values"]["RR@10"], one["queries"], one["missing"]) for one in json.loads(out)]

    assert values("one.trec") == [((1 + 0.5) / 20, 20, 18)]
    assert values("one.trec", "--judged-queries", "run") == [((1 + 0.5) / 2, 2, 0)]
    # Both runs are measured over the same queries; what one of them lacks counts as 0.
    assert values("one.trec", "two.trec", "--judged-queries", "run") == [(0.75, 2, 0), (0.5, 2, 1)]
    assert "--judged-queries run leaves them out" in run("evaluate", "one.trec", "--qrels", "qrels")[2]


def test_a_beir_folder_serves_as_queries_corpus_and_judgements(run, write, adapter):
    write("set/corpus.jsonl", {"_id": "a", "title": "T", "text": "fox"}, {"_id": "b", "title": "", "text": "dog"})
    write("set/queries.jsonl", {"_id": "q1", "text": "fox"}, {"_id": "q2", "text": "of the training"})
    write("set/qrels.tsv", "query-id\tcorpus-id\tscore", "q1\ta\t1")
    write("first.trec", "q1 Q0 a 1 2 t", "q1 Q0 b 2 1 t")
    files = ("--run", "first.trec", "--queries", "set", "--corpus", "set")
    status, _, err = run("rerank", *files, "--output", "run.trec", "--format", "trec", "--model", adapter)
    assert status == 0, err
    status, out, _ = run("evaluate", "run.trec", "--qrels", "set", "--metrics", "R@2", "--json")
    assert json.loads(out)[0]["values"] == {"R@2": 1.0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--topics", "empty", "--index", "i", "--output", "o"), "empty holds no query."),
        (("rerank", "empty", "--output", "o"), "empty holds no query."),
        (
            ("rerank", "--run", "empty", "--queries", "qrels", "--corpus", "qrels", "--output", "o"),
            "empty holds no result.",
        ),
        (("evaluate", "empty", "--qrels", "qrels"), "empty holds no result."),
        (("mine", "--index", "i", "--output", "o", "--topics", "empty", "--qrels", "qrels"), "empty holds no query."),
        (("teach", "empty", "--output", "o"), "empty holds no query."),
        (
            ("run", "--topics", "absent", "--index", "i", "--output", "o"),
            "can't read absent: No such file or directory.",
        ),
    ],
)
def test_an_empty_file_is_an_error(run, write, tmp_path, words, message):
    write("qrels", "q1 0 a 1")
    (tmp_path / "empty").write_bytes(b"\xef\xbb\xbf\r\n")
    status, _, err = run(*words)
    assert (status, message in err) == (1, True), err
    assert not (tmp_path / "o").exists()


class Native:
    def documents(self):
        return [b"{}"]


def test_a_query_that_the_engine_can_not_search_for_is_named_and_the_others_go_on(capsys):
    def fetch(topics):
        for text in topics.values():
            if text == "too long":
                raise InputError("it has too many different words.", remedy="Shorten it.")
        candidate = Candidate("d", 1, 1.0, Passage("", "x"))
        return {qid: FirstStage(text, [candidate], Native()) for qid, text in topics.items()}

    topics = [("q1", "fox"), ("q2", "too long"), ("q3", "dog")]
    found = list(Stage(fetch, {}, {}).lists(topics))
    assert [(one.qid, len(one.candidates)) for one in found] == [("q1", 1), ("q2", 0), ("q3", 1)]
    assert capsys.readouterr().err == ("query 'q2' has no candidates: it has too many different words.\n")


def test_a_pipe_is_refused_where_it_is_read_more_than_once(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for words in (
        ("rerank", "pipe", "--output", "o"),
        ("rerank", "--run", "pipe", "--queries", "pipe", "--corpus", "pipe", "--output", "o"),
        ("teach", "pipe", "--output", "o"),
        ("train", "pipe", "--base-model", "e5-small", "--output", "o"),
    ):
        status, _, said = run(*words)
        assert (status, "error: pipe is a pipe or a device, and is read more than once." in said) == (1, True), said


def test_an_output_never_replaces_an_input(run, tmp_path):
    line = '{"query_id": "q1", "query": "fox", "candidates": [{"docid": "d1", "score": 1, "text": "fox", "label": 1}]}'
    (tmp_path / "mine").write_text(line + "\n")
    (tmp_path / "link").symlink_to("mine")
    for words in (
        ("rerank", "link", "--output", "mine", "--force"),
        ("rerank", "--run", "mine", "--queries", "q", "--corpus", "c", "--output", "mine", "--force"),
        ("teach", "mine", "--output", "mine", "--force"),
        ("mine", "--topics", "q", "--qrels", "mine", "--index", "i", "--output", "mine", "--force"),
        ("run", "--topics", "mine", "--index", "i", "--output", "mine", "--force"),
        ("merge", "mine", "--output", "mine", "--force"),
        ("judge", "read", "mine", "--output", "mine", "--force"),
        ("judge", "export", "mine", "--output", "mine", "--force"),
        ("evaluate", "mine", "--qrels", "q", "--per-query", "mine"),
        ("evaluate", "r", "--qrels", "mine", "--per-query", "link"),
    ):
        status, _, said = run(*words)
        assert (status, "is an input of this command" in said) == (1, True), said
    assert (tmp_path / "mine").read_text() == line + "\n"
