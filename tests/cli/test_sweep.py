"""`sidecar sweep`: what it chooses is what the other commands do, and nothing changes a result silently."""

from __future__ import annotations

import csv
import json
import random

import pytest

from sidecar.experiments.run_reading import read_run

WORDS = ["river", "stone", "cloud", "engine", "wing", "heat", "flow", "shock", "layer", "plate", "jet", "noise", "lift"]


@pytest.fixture
def folder(tmp_path):
    """Write candidate lists of 16 queries, 12 candidates each, and judgements of them."""
    chance = random.Random(1)
    lists, qrels = [], []
    for q in range(16):
        hits = [
            {"docid": f"d{q}-{n}", "score": 12.0 - n, "text": " ".join(chance.choices(WORDS, k=chance.randint(2, 9)))}
            for n in range(12)
        ]
        hits[7]["text"] = ""
        lists.append({"query_id": f"q{q}", "query": " ".join(chance.sample(WORDS, 3)), "candidates": hits})
        qrels += [f"q{q} 0 d{q}-{n} {chance.choice([0, 1, 2])}" for n in chance.sample(range(12), 6)]
    (tmp_path / "candidates.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lists))
    (tmp_path / "qrels.txt").write_text("\n".join(qrels) + "\n")
    return tmp_path


@pytest.fixture
def sweep(run, folder, tiny_llama):
    plan = f"""
qrels = "qrels.txt"
windows = [4, 12]
models = ["{tiny_llama[1]}"]
[[first_stage]]
name = "given"
candidates = "candidates.jsonl"
"""

    def command(*more, plan=plan):
        (folder / "sweep.toml").write_text(plan)
        return run("sweep", "sweep.toml", "--output", "out", "--device", "cpu", *more)

    command.plan = plan
    return command


def test_the_best_settings_give_the_figures_that_chose_them(sweep, run, folder, monkeypatch):
    status, printed, said = sweep()
    assert status == 0, said
    assert "nDCG@10, chosen on a fraction of 0.5, seed 0; 10 of 62 points" in printed
    with (folder / "out/sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads((folder / "out/sweep.json").read_text())
    assert len(rows) == len(found["points"]) == 1 + 2 * 31
    assert (len(found["choose"]), len(found["report"])) == (8, 8)
    assert float(max(rows[1:], key=lambda row: float(row["choose"]))["choose"]) == found["best"]["choose_mean"]
    by_query = found["best"]["by_query"]
    for part in ("choose", "report"):
        assert found["best"][f"{part}_mean"] == pytest.approx(sum(by_query[qid] for qid in found[part]) / 8)

    monkeypatch.setenv("SIDECAR_CONFIG", "out/best.toml")
    status, _, said = run("rerank", "candidates.jsonl", "--output", "again.trec", "--format", "trec", "--device", "cpu")
    assert status == 0, said
    _, printed, _ = run("evaluate", "out/best.trec", "again.trec", "--qrels", "qrels.txt", "--json", "--per-query", "v")
    one, two = json.loads(printed)
    assert one["values"] == two["values"]
    lines = [line.split("\t") for line in (folder / "v").read_text().splitlines()]
    again = {qid: float(value) for name, qid, measure, value in lines if (name, measure) == ("again.trec", "nDCG@10")}
    assert again == by_query
    assert {qid: list(hits) for qid, hits in read_run(folder / "again.trec").items()} == {
        qid: list(hits) for qid, hits in read_run(folder / "out/best.trec").items()
    }


def test_what_is_there_is_not_computed_again(sweep, folder):
    assert sweep()[0] == 0
    status, _, said = sweep()
    assert (status, "holds a sweep already" in said, "--resume" in said) == (1, True, True)
    before = {path.name: path.read_bytes() for path in (folder / "out").glob("best.*")}
    scores = (folder / "out/scores.db").read_bytes()
    more = sweep.plan + '[[fusion]]\nmethod = "linear"\nweight = [0.1, 0.2]\n'
    status, printed, said = sweep("--resume", plan=more)
    assert (status, "of 4 points" in printed) == (0, True), said
    assert (folder / "out/scores.db").read_bytes() == scores
    assert sweep("--resume")[0] == 0
    assert {path.name: path.read_bytes() for path in (folder / "out").glob("best.*")} == before


def test_a_folder_of_somebody_elses_is_left_alone(sweep, folder):
    (folder / "out/first-stages").mkdir(parents=True)
    (folder / "out/first-stages/mine.txt").write_text("mine")
    for flags in ((), ("--force",), ("--resume",), ("--resume", "--force")):
        status, _, said = sweep(*flags)
        assert (status, "first-stages is of no sweep" in said) == (1, True), said
    assert (folder / "out/first-stages/mine.txt").read_text() == "mine"


def test_changed_inputs_are_refused_unless_forced(sweep, folder):
    assert sweep()[0] == 0
    lists = folder / "candidates.jsonl"
    lists.write_text(lists.read_text().replace("river", "rivers"))
    status, _, said = sweep("--resume")
    assert (status, "given was made from other inputs: candidates changed" in said) == (1, True), said
    status, _, said = sweep("--resume", "--force")
    assert (status, "is made again: candidates changed." in said) == (0, True), said
    (folder / "qrels.txt").write_text((folder / "qrels.txt").read_text() + "q0 0 other 1\n")
    status, _, said = sweep("--resume")
    assert (status, "inputs was made from other inputs: qrels changed" in said) == (1, True), said
    assert sweep("--force")[0] == 0


def test_queries_that_are_missing_on_either_side_are_counted(sweep, folder):
    lines = (folder / "candidates.jsonl").read_text().splitlines()
    (folder / "candidates.jsonl").write_text("\n".join(lines[1:]) + "\n")
    qrels = (folder / "qrels.txt").read_text()
    (folder / "qrels.txt").write_text(qrels.replace("q5 ", "other ") + "another 0 d1-1 1\n")
    (folder / "fewer.jsonl").write_text("\n".join(lines[3:]) + "\n")
    status, _, said = sweep(plan=sweep.plan + '[[first_stage]]\nname = "fewer"\ncandidates = "fewer.jsonl"\n')
    assert status == 0, said
    assert "1 queries without judgements are left out." in said
    assert "3 judged queries are not among the topics, and are left out." in said  # q0, other, another
    assert "fewer: 2 queries without a candidate count as 0: q1, q2." in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda qrels: qrels.replace("q", "x"), "judges none of the 16 queries"),
        (lambda qrels: qrels.replace(" d", " MED-"), "none of the documents in the first stage given is judged"),
    ],
)
def test_judgements_of_another_collection_are_refused(sweep, folder, change, message):
    (folder / "qrels.txt").write_text(change((folder / "qrels.txt").read_text()))
    status, _, said = sweep()
    assert (status, message in said) == (1, True), said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--windows", "3"), "sweep.toml is the whole plan; it takes no option for windows"),
        (("--fraction", "0.5"), "takes no option for choose"),
    ],
)
def test_options_beside_a_plan_are_refused(sweep, more, message):
    status, _, said = sweep(*more)
    assert (status, message in said) == (1, True), said


def test_options_make_the_same_plan(sweep, run, folder, tiny_llama):
    fusion = (
        '[[fusion]]\nmethod = "rerank"\n[[fusion]]\nmethod = "linear"\nnormalization = "z_score"\nweight = [0.5, 0.7]\n'
    )
    assert sweep(plan=sweep.plan.replace('"given"', '"stage1"') + fusion)[0] == 0
    words = ["--qrels", "qrels.txt", "--candidates", "candidates.jsonl", "--windows", "4,12", "--models", tiny_llama[1]]
    words += ["--fusions", "rerank,linear", "--normalizations", "z_score", "--weights", "0.5,0.7"]
    status, _, said = run("sweep", *words, "--device", "cpu", "--output", "flags")
    assert status == 0, said
    assert (folder / "flags/sweep.csv").read_bytes() == (folder / "out/sweep.csv").read_bytes()
    status, _, said = run("sweep", *words[:-6], "--fusions", "rerank", "--weights", "0.5", "--output", "other")
    assert (status, "--weights has no effect here" in said) == (1, True)


def test_two_texts_of_one_query_are_refused(sweep, folder):
    lists = (folder / "candidates.jsonl").read_text()
    (folder / "other.jsonl").write_text(lists.replace('"query": "', '"query": "very '))
    status, _, said = sweep(plan=sweep.plan + '[[first_stage]]\ncandidates = "other.jsonl"\n')
    assert (status, "in one first stage, and 'very " in said) == (1, True), said
