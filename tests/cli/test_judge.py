"""`sidecar judge`: a pool that people or a model fill, and that is read back as qrels or refused with the line."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from sidecar.experiments.kappa import agreement, cohens_kappa
from sidecar.experiments.qrels import read_qrels


@pytest.fixture
def pool(run, tmp_path):
    """Export the pool of two runs of two queries: three documents of q1, two of q2."""
    (tmp_path / "one.trec").write_text("q1 Q0 a 1 3 x\nq1 Q0 b 2 2 x\nq1 Q0 z 3 1 x\nq2 Q0 c 1 1 x\n")
    (tmp_path / "two.trec").write_text("q1 Q0 d 1 3 x\nq1 Q0 a 2 2 x\nq2 Q0 a 1 1 x\n")
    (tmp_path / "topics.tsv").write_text("q1\tthe first\nq2\tthe second\n")
    (tmp_path / "corpus.jsonl").write_text("".join(f'{{"_id": "{n}", "text": "text of {n}"}}\n' for n in "abcd"))
    words = ["--topics", "topics.tsv", "--corpus", "corpus.jsonl", "--depth", "2", "--output", "pool.jsonl"]
    status, _, said = run("judge", "export", "one.trec", "two.trec", *words)
    assert status == 0, said
    assert "5 pairs of 2 queries → pool.jsonl" in said
    return tmp_path / "pool.jsonl"


def fill(pool, grades, **more):
    """Write grades into a pool, by docid; None leaves a pair as it is."""
    head, *lines = pool.read_text().splitlines()
    pairs = [json.loads(line) for line in lines]
    pairs = [pair | {"grade": grades[pair["docid"]], **more} for pair in pairs]
    pool.write_text("\n".join([head, *map(json.dumps, pairs)]) + "\n")


def test_grades_of_people_become_qrels(run, pool, tmp_path):
    lines = [json.loads(line) for line in pool.read_text().splitlines()]
    assert {(one["qid"], one["docid"], one["query"], one["passage"]) for one in lines[1:]} == {
        *(("q1", name, "the first", f"text of {name}") for name in "abd"),
        *(("q2", name, "the second", f"text of {name}") for name in "ac"),
    }
    fill(pool, {"a": 2, "b": "0", "c": 1.0, "d": 3})
    status, _, said = run("judge", "read", "pool.jsonl", "--output", "qrels.txt")
    assert (status, "5 judgements → qrels.txt" in said) == (0, True), said
    assert read_qrels(tmp_path / "qrels.txt") == {"q1": {"a": 2, "b": 0, "d": 3}, "q2": {"a": 2, "c": 1}}
    assert {line.split()[1] for line in (tmp_path / "qrels.txt").read_text().splitlines()} == {"0"}
    status, printed, _ = run("evaluate", "one.trec", "two.trec", "--qrels", "qrels.txt", "--metrics", "nDCG@10")
    assert status == 0, printed


def test_a_half_filled_pool_is_refused_unless_that_is_meant(run, pool, tmp_path):
    fill(pool, {"a": 2, "b": None, "c": 1, "d": 0})
    status, _, said = run("judge", "read", "pool.jsonl", "--output", "qrels.txt")
    assert (status, "document 'b' of query 'q1' has no grade" in said, "pool.jsonl:" in said) == (1, True, True), said
    status, _, said = run("judge", "read", "pool.jsonl", "--output", "qrels.txt", "--partial")
    assert (status, "4 judgements, 1 without a grade left out → qrels.txt" in said) == (0, True), said
    assert json.loads((tmp_path / "qrels.txt.manifest.json").read_text())["without_grade"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:2], lines[2].replace("text of", "another"), *lines[3:]], "jsonl:3: this pair was"),
        (lambda lines: [*lines, lines[1]], "pool.jsonl:7: this pair was there before, in pool.jsonl:2"),
        (lambda lines: lines[:-1], "has 4 of the 5 pairs of its pool"),
        (lambda lines: lines[1:], "pool.jsonl:1: no first line of a pool"),
        (lambda lines: [lines[0].replace('"pool":"', '"pool":"0'), *lines[1:]], "jsonl:2: this pair was changed"),
        (lambda lines: [*lines[:3], "q1 0 a 1", *lines[4:]], "pool.jsonl:4: no pair of a pool"),
        (lambda lines: [line.replace('"grade":null', '"grade":7') for line in lines], "pool.jsonl:2: 7 is no grade"),
        (lambda lines: [line.replace('"grade":null', '"grade":"yes"') for line in lines], "jsonl:2: 'yes' is no grade"),
        (lambda lines: [], "pool.jsonl is empty"),
    ],
)  # fmt: skip
def test_a_changed_or_foreign_pool_is_refused_with_the_line(run, pool, change, message):
    pool.write_text("".join(f"{line}\n" for line in change(pool.read_text().splitlines())))
    status, _, said = run("judge", "read", "pool.jsonl", "--output", "qrels.txt")
    assert (status, message in said) == (1, True), said


@pytest.fixture
def endpoint():
    """Serve chat completions: the grade of a passage is by its docid; `answers` are given first."""

    class Handler(BaseHTTPRequestHandler):
        answers: ClassVar[list[str]] = []
        asked: ClassVar[list[dict]] = []

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.asked.append(body)
            name = body["messages"][1]["content"][-1]
            content = self.answers.pop(0) if self.answers else str("abcd".index(name))
            answer = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield Handler
    server.shutdown()
    server.server_close()


def test_a_model_fills_a_pool_marked_as_its_own(run, pool, tmp_path, endpoint):
    words = [
        "judge",
        "fill",
        "pool.jsonl",
        "--llm-url",
        endpoint.url,
        "--llm-model",
        "tiny",
        "--output",
        "filled.jsonl",
    ]
    endpoint.answers[:] = ["2", "very relevant"]
    status, _, said = run(*words)
    assert (status, "tiny answered 'very relevant' for document" in said) == (1, True), said
    assert "1 finished queries are kept" in said
    (tmp_path / "people.txt").write_text("q1 0 a 0\nq1 0 b 1\nq1 0 d 0\nq9 0 a 1\n")
    asked = len(endpoint.asked)
    first = endpoint.asked[0]["messages"][1]["content"][-1]
    status, _, said = run(*words, "--resume", "--qrels", "people.txt")
    assert status == 0, said
    assert len(endpoint.asked) == asked + 4
    assert "agreement on 3 pairs" in said
    pairs = [json.loads(line) for line in (tmp_path / "filled.jsonl").read_text().splitlines()[1:]]
    assert {pair["judge"] for pair in pairs} == {"model tiny"}
    assert [pair["grade"] for pair in pairs if pair["docid"] == "d"] == [2 if first == "d" else 3]
    status, _, said = run("judge", "read", "filled.jsonl", "--output", "qrels.txt", "--qrels", "people.txt")
    assert (status, "5 judgements, 5 of them by a model (model tiny)" in said) == (0, True), said
    assert {line.split()[1] for line in (tmp_path / "qrels.txt").read_text().splitlines()} == {"model"}
    about = json.loads((tmp_path / "qrels.txt.manifest.json").read_text())
    assert (about["models"], about["agreement"]["pairs"]) == (["model tiny"], 3)


def test_an_endpoint_that_is_not_there_is_said(run, pool, monkeypatch):
    words = ["--llm-url", "http://127.0.0.1:9/v1", "--llm-model", "tiny", "--output", "filled.jsonl"]
    status, _, said = run("judge", "fill", "pool.jsonl", *words)
    assert (status, "http://127.0.0.1:9/v1/ does not answer" in said) == (1, True), said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fill", "pool.jsonl"], "Give --llm-url and --llm-model"),
        (["read", "pool.jsonl", "--depth", "5"], "--depth has no effect here: only the step export takes it"),
        (["read", "pool.jsonl", "one.trec"], "read takes one pool, not 2 files"),
        (
            ["export", "one.trec", "--topics", "topics.tsv", "--depth", "1"],
            "2 documents of the pool have no text: a, c",
        ),
        (["export", "one.trec"], "2 queries of the pool have no text: q1, q2"),
    ],
)
def test_what_a_step_lacks_or_ignores_is_said(run, pool, words, message):
    status, _, said = run("judge", *words, "--output", "out")
    assert (status, message in said) == (1, True), said


def test_kappa_is_agreement_beyond_chance():
    # Observed 3/4; expected (2·1 + 1·1 + 1·2) / 16 = 5/16.
    assert cohens_kappa([0, 0, 1, 2], [0, 2, 1, 2]) == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))
    assert cohens_kappa([1, 1], [1, 1]) is None
    assert agreement([], []) is None
    # Relevant are 0 1 1 and 0 1 1: equal.
    assert agreement([0, 1, 2], [0, 2, 1]).binary_kappa == 1
