"""Stage two as an axis of `sidecar sweep`: generators asked once, and the figures of what the other commands do."""

from __future__ import annotations

import csv
import json
from math import log2

import pytest

from sidecar.experiments.run_reading import read_run
from tests.support.servers.chat_stub import by_number, chat_stub
from tests.support.servers.remote_stub import remote_stub

QUERIES, DOCUMENTS = 8, 12
FILES = {".csv", ".json", ".toml", ".trec"}


@pytest.fixture
def folder(tmp_path):
    """Candidate lists in which the model finds the last document best, and the judgements the first."""
    lists, qrels = [], []
    for q in range(QUERIES):
        hits = [{"docid": f"d{q}-{n}", "score": 50.0 - n, "text": f"{n} words of {q}"} for n in range(DOCUMENTS)]
        hits[5]["text"] = ""
        lists.append({"query_id": f"q{q}", "query": f"query {q}", "candidates": hits})
        qrels += [f"q{q} 0 d{q}-{n} {grade}" for n, grade in ((DOCUMENTS - 3, 2), (DOCUMENTS - 2, 1), (0, 0))]
    (tmp_path / "candidates.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lists))
    (tmp_path / "qrels.txt").write_text("\n".join(qrels) + "\n")
    return tmp_path


@pytest.fixture(scope="module")
def scorer():
    with remote_stub("vllm") as server:
        yield server


@pytest.fixture
def generator():
    """A generator that finds the lowest number best."""
    with chat_stub(worth=lambda text: -by_number(text)) as server:
        yield server


@pytest.fixture
def sweep(run, folder, scorer, generator):
    def command(*more, listwise):
        (folder / "sweep.toml").write_text(f"""
qrels = "qrels.txt"
models = ["{scorer.url}"]
windows = [{DOCUMENTS}]
[[first_stage]]
candidates = "candidates.jsonl"
[[fusion]]
method = "rerank"
{listwise}
""")
        return run("sweep", "sweep.toml", "--output", "out", *more)

    return command


def table(generator, depth, more=""):
    return f'[[listwise]]\nname = "stub"\nlistwise_model = "{generator.url}"\nlistwise_depth = {depth}\n{more}'


def rows(folder):
    with (folder / "out/sweep.csv").open() as file:
        return [(row["listwise"], float(row["choose"])) for row in csv.DictReader(file) if row["model"]]


def test_each_depth_is_measured_beside_the_point_without_stage_two(sweep, folder, generator):
    status, printed, said = sweep(listwise=table(generator, "[2, 3, 9]"))
    assert status == 0, said
    # Judged are the second (1) and the third (2) of the model's order.
    ideal = 2 + 1 / log2(3)
    assert rows(folder) == [
        ("", pytest.approx((1 / log2(3) + 2 / log2(4)) / ideal)),
        ("stub_depth=2", pytest.approx((1 + 2 / log2(4)) / ideal)),
        ("stub_depth=3", pytest.approx(1.0)),
        ("stub_depth=9", pytest.approx((2 / log2(8) + 1 / log2(9)) / ideal)),
    ]
    assert "stub_depth=3" in printed
    assert "  1.0000; without stage two 0.6199, +0.3801" in printed
    assert len(generator.asked) == 3 * QUERIES
    found = json.loads((folder / "out/sweep.json").read_text())
    assert (found["best"]["listwise"], "listwise" in found["stage_one"]) == ("stub_depth=3", False)
    assert found["against_stage_one"]["wins"] == QUERIES / 2


def test_the_best_settings_give_the_run_that_chose_them(sweep, run, folder, generator, monkeypatch):
    assert sweep(listwise=table(generator, 3, "listwise_window = 2\nlistwise_step = 1"))[0] == 0
    monkeypatch.setenv("SIDECAR_CONFIG", "out/best.toml")
    status, _, said = run("rerank", "candidates.jsonl", "--output", "again.trec", "--format", "trec")
    assert status == 0, said
    assert (folder / "again.trec").read_text().replace("rerank-sidecar", "sweep") == (
        folder / "out/best.trec"
    ).read_text()
    assert next(iter(read_run(folder / "again.trec")["q0"])) == f"d0-{DOCUMENTS - 3}"


def test_answers_are_kept_and_nothing_is_asked_twice(sweep, folder, generator):
    def files():
        return {path.name: path.read_bytes() for path in (folder / "out").iterdir() if path.suffix in FILES}

    assert sweep(listwise=table(generator, 3))[0] == 0
    before = files()
    assert sweep("--resume", listwise=table(generator, 3))[0] == 0
    assert (files(), len(generator.asked)) == (before, QUERIES)
    assert sweep("--resume", listwise=table(generator, "[3, 4]"))[0] == 0
    assert len(generator.asked) == 2 * QUERIES
    assert sweep("--force", listwise=table(generator, 3))[0] == 0
    assert len(generator.asked) == 3 * QUERIES
    assert files() == before


def test_answers_that_hold_no_order_are_counted_and_said(sweep, folder, generator):
    wrong = iter(["I can't."] * 2 + ["[2] > [2] > [1] > [3]"])
    generator.says = lambda text: next(wrong, text)
    status, _, said = sweep(listwise=table(generator, 3, "listwise_concurrency = 1"))
    assert status == 0, said
    assert f"stage two stub: {QUERIES} answers, of which 1 did not name every passage once, 2 held no order" in said
    assert json.loads((folder / "out/sweep.json").read_text())["stages_two"] == {
        "stub": {
            "generator": f"openai stub at {generator.url}/v1",
            "windows": QUERIES,
            "mended": 1,
            "unreadable": 2,
            "cut": 0,
        }
    }


def test_an_interrupted_sweep_goes_on_with_its_answers(sweep, generator):
    def refuses_one(body):
        if "query: query 7." in body["messages"][1]["content"]:
            return 400, {}, b"no"
        return 200, {}, json.dumps(generator.answer("/v1/chat/completions", body)[1]).encode()

    generator.faults = [refuses_one] * 50
    status, _, said = sweep(listwise=table(generator, 3, "listwise_mode = 'first-token'"))
    assert status == 1
    assert "refuses the request (HTTP 400): no" in said
    generator.faults, generator.asked = [], []
    assert sweep("--resume", listwise=table(generator, 3, "listwise_mode = 'first-token'"))[0] == 0
    assert 1 <= len(generator.asked) < QUERIES


@pytest.mark.parametrize(
    ("listwise", "said"),
    [
        ('[[listwise]]\nmodel = "x"', "listwise: model is no setting of stage two."),
        ("[[listwise]]\nlistwise_depth = 5", "listwise: listwise1 has no generator."),
        ('[[listwise]]\nlistwise_model = "http://a"\nlistwise_depth = 1', "listwise_depth"),
        ('[[listwise]]\nname = "x"\n[[listwise]]\nname = "x"', "two generators have the name x."),
        ('[[listwise]]\nlistwise_model = "http://127.0.0.1:9"', "http://127.0.0.1:9/v1 can't be reached"),
    ],
)
def test_what_is_no_stage_two_is_refused(sweep, listwise, said):
    status, _, message = sweep(listwise=listwise)
    assert status == 1
    assert said in message


def test_options_name_a_generator_and_its_depths(run, folder, scorer, generator):
    words = ("sweep", "--qrels", "qrels.txt", "--candidates", "candidates.jsonl", "--models", scorer.url)
    more = ("--fusions", "rerank", "--windows", 12, "--listwise", generator.url, "--listwise-depths", "2,3")
    status, printed, said = run(*words, *more, "--output", "out")
    assert status == 0, said
    assert [name for name, _ in rows(folder)] == ["", "listwise1_depth=2", "listwise1_depth=3"]
    assert "listwise1_depth=3" in printed
