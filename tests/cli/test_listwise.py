"""Stage two in `rerank`: options, run, journal, manifest and summary. Both stages are servers without a model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from sidecar.cli.options import LISTWISE
from sidecar.experiments.run_reading import read_run
from tests.support.servers.chat_stub import chat_stub
from tests.support.servers.hits import by_model, opensearch
from tests.support.servers.remote_stub import remote_stub
from tests.support.servers.stub import Stub
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
QUERIES, DOCUMENTS = 12, 30


@pytest.fixture
def scorer():
    """A scorer that scores a passage by the number in it."""
    with remote_stub("vllm") as server:
        yield server


@pytest.fixture
def words(tmp_path, scorer):
    """Documents 0 to 29: stage one puts 29 first, the generator the one that is nearest to 20."""
    lines = [
        {
            "query_id": f"q{number}",
            "query": f"query {number}",
            "candidates": [
                {"docid": f"d{i}", "score": 90.0 - i, "text": f"{i} words of {number}"} for i in range(DOCUMENTS)
            ],
        }
        for number in range(QUERIES)
    ]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def command(generator, output, *more):
        own = ("rerank", "lists.jsonl", "--output", output, "--model", scorer.url)
        return (*own, "--listwise-model", generator.url, "--listwise-depth", 25, *more)

    return command


def refusing(generator, number):
    """A fault of one query: its requests are refused, all others answered."""

    def fault(body):
        if f"query: query {number}." in body["messages"][1]["content"]:
            return 400, {}, b"no"
        return 200, {}, json.dumps(generator.answer("/v1/chat/completions", body)[1]).encode()

    return fault


def nearest_to_20(text):
    return -abs(int(text.split()[0]) - 20)


STAGE_ONE = [f"d{i}" for i in reversed(range(DOCUMENTS))]
# Of the 25 best of stage one, 29 to 5: the nearest to 20 first, equally near ones in stage one's order.
BOTH = [f"d{i}" for i in sorted(range(29, 4, -1), key=lambda i: abs(i - 20))] + STAGE_ONE[25:]


def docids(path):
    return [[hit["docid"] for hit in json.loads(line)["candidates"]] for line in path.read_text().splitlines()]


def test_a_run_has_the_order_of_the_generator_and_its_answers(words, run, tmp_path):
    with chat_stub(worth=nearest_to_20) as generator:
        status, _, said = run(*words(generator, "run.jsonl", "--listwise-step", 10))
    assert status == 0, said
    assert f"; stage two: {2 * QUERIES} answers → run.jsonl" in said
    assert [found[:15] for found in docids(tmp_path / "run.jsonl")] == [BOTH[:15]] * QUERIES
    first = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])
    assert [(window["start"], window["stop"]) for window in first["listwise"]] == [(5, 25), (0, 20)]
    assert first["listwise"][0]["text"].startswith("[5] > [4] > [6] > ")
    scores = [hit["score"] for hit in first["candidates"]]
    assert scores == [float(i) for i in reversed(range(DOCUMENTS))], "the scores stay with the places"
    assert first["candidates"][0]["rerank_score"] == 20.0
    manifest = json.loads((tmp_path / "run.jsonl.manifest.json").read_text())
    assert manifest["stage_two"] == {"windows": 24, "mended": 0, "unreadable": 0, "cut": 0}
    assert manifest["model"]["stage_two"] == f"openai stub at {generator.url}/v1"
    settings = manifest["settings"]
    assert (settings["listwise_depth"], settings["listwise_window"], settings["listwise_mode"]) == (25, 20, "direct")
    assert "listwise_timeout" not in settings


def test_a_trec_run_falls_strictly(words, run, tmp_path):
    with chat_stub(worth=nearest_to_20) as generator:
        assert run(*words(generator, "run.trec", "--format", "trec"))[0] == 0
    found = read_run(tmp_path / "run.trec")
    assert list(found["q0"])[:5] == BOTH[:5]
    scores = list(found["q0"].values())
    assert all(above > below for above, below in pairwise(scores))


def test_a_run_goes_on_where_the_generator_failed(words, run, tmp_path):
    with chat_stub(worth=nearest_to_20) as generator:
        assert run(*words(generator, "whole.jsonl"))[0] == 0
        generator.faults = [refusing(generator, 7)] * 100
        status, _, said = run(*words(generator, "run.jsonl"))
        assert status != 0
        assert f"{generator.url}/v1 refuses the request (HTTP 400): no" in said
        assert "7 finished queries are kept; continue with --resume." in said
        generator.faults, generator.asked = [], []
        status, _, said = run(*words(generator, "run.jsonl", "--resume"))
        assert status == 0, said
        assert len(generator.asked) == 2 * (QUERIES - 7)
        manifest = json.loads((tmp_path / "run.jsonl.manifest.json").read_text())
        assert (manifest["queries_resumed"], manifest["stage_two"]["windows"]) == (7, 24)
        assert (tmp_path / "run.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("more", "differs"),
    [(("--listwise-depth", 20), "listwise_depth"), (("--listwise-mode", "think"), "listwise_mode")],
)
def test_a_run_goes_on_with_the_same_stage_two_alone(words, run, more, differs):
    with chat_stub(worth=nearest_to_20) as generator:
        generator.faults = [refusing(generator, 3)] * 100
        assert run(*words(generator, "run.jsonl"))[0] != 0
        generator.faults = []
        status, _, said = run(*words(generator, "run.jsonl", "--resume", *more))
        assert status != 0
        assert f"differs in {differs}" in said


def test_another_model_behind_the_same_url_is_not_gone_on_with(words, run):
    with chat_stub() as generator:
        generator.faults = [refusing(generator, 3)] * 100
        assert run(*words(generator, "run.jsonl"))[0] != 0
        generator.faults, generator.model = [], "another"
        status, _, said = run(*words(generator, "run.jsonl", "--resume"))
        assert status != 0
        assert "differs in listwise_model" in said
        assert run(*words(generator, "run.jsonl", "--resume", "--force"))[0] == 0


def test_answers_that_hold_no_order_are_counted_and_said(words, run, tmp_path):
    wrong = iter([None] * (QUERIES * 2 - 3) + ["I can't"] * 2 + ["[2] > [2]"])
    with chat_stub(worth=nearest_to_20, says=lambda text: next(wrong) or text) as generator:
        status, _, said = run(*words(generator, "run.jsonl", "--listwise-concurrency", 1))
    assert status == 0, said
    told = "; stage two: 24 answers, of which 1 did not name every passage once, 2 held no order"
    assert told in said
    assert json.loads((tmp_path / "run.jsonl.manifest.json").read_text())["stage_two"] == {
        "windows": 24, "mended": 1, "unreadable": 2, "cut": 0,
    }  # fmt: skip


def test_shards_are_merged_to_the_bytes_of_one_run(words, run, tmp_path):
    with chat_stub(worth=nearest_to_20) as generator:
        assert run(*words(generator, "whole.jsonl"))[0] == 0
        for number in (1, 2):
            status, _, said = run(*words(generator, "run.jsonl", "--shard", f"{number}/2"))
            assert status == 0, said
    status, _, said = run("merge", "run.jsonl.shard-1-of-2", "run.jsonl.shard-2-of-2", "--output", "run.jsonl")
    assert status == 0, said
    assert (tmp_path / "run.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert json.loads((tmp_path / "run.jsonl.manifest.json").read_text())["stage_two"]["windows"] == 24


def test_without_a_generator_nothing_of_it_is_recorded(words, run, tmp_path, scorer):
    assert run("rerank", "lists.jsonl", "--output", "run.jsonl", "--model", scorer.url)[0] == 0
    assert docids(tmp_path / "run.jsonl")[0] == STAGE_ONE
    assert "listwise" not in (tmp_path / "run.jsonl").read_text()
    assert "listwise" not in (tmp_path / "run.jsonl.manifest.json").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--listwise-step", 21), "A step of 21 leaves out hits between windows of 20."),
        (("--listwise-mode", "first-token", "--listwise-window", 30), "The first token can order 20 passages"),
        (("--listwise-base-model", "x"), "only a generator on this machine takes it"),
        (("--listwise-mode", "first-token", "--listwise-max-tokens", 9), "generates no answer"),
        (("--listwise-name", "other"), "has no model 'other'"),
    ],
)
def test_options_that_can_not_be_followed_are_refused(words, run, tmp_path, more, message):
    with chat_stub() as generator:
        status, _, said = run(*words(generator, "run.jsonl", *more))
    assert status != 0
    assert message in said
    assert not (tmp_path / "run.jsonl").exists()


def test_options_without_a_generator_are_refused(words, run, scorer):
    for flag in ("depth", "window", "step", "mode", "prompt", "name", "timeout"):
        assert f"listwise_{flag}" in LISTWISE
    status, _, said = run("rerank", "lists.jsonl", "--output", "o", "--model", scorer.url, "--listwise-depth", 9)
    assert status != 0
    assert "--listwise-depth has no effect here: there is no stage two without --listwise-model." in said


def test_a_generator_that_is_not_there_ends_the_command(words, run, tmp_path, scorer):
    own = ("rerank", "lists.jsonl", "--output", "run.jsonl", "--model", scorer.url)
    status, _, said = run(*own, "--listwise-model", "http://127.0.0.1:9")
    assert status != 0
    assert "http://127.0.0.1:9/v1 can't be reached" in said
    assert not (tmp_path / "run.jsonl").exists()


def test_ctrl_c_does_not_wait_for_answers(words, tmp_path):
    # A worker of pytest-xdist ignores SIGINT, and so would its child.
    handled = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{handled}\nfrom sidecar.cli.main import main\nmain()"
    left = threading.Event()
    with chat_stub() as generator:
        generator.faults = [lambda _: left.wait(30) and None] * 50
        command = [sys.executable, "-c", code, *map(str, words(generator, "run.jsonl"))]
        process = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
        )
        until(lambda: generator.asked, seconds=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        left.set()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, None),
        ("I can't.", "1 of 1 answers of the generator hold no order"),
        ("refuse", "refuses the request (HTTP 400): no"),
    ],
)
def test_search_shows_the_generators_order_or_says_why_not(run, scorer, answer, said):
    upstream = Stub(lambda request: [(0.0, opensearch(request))])
    with upstream, chat_stub(worth=lambda text: -float(text.split()[1]), says=lambda text: answer or text) as generator:
        generator.faults = [lambda _: (400, {}, b"no")] * (answer == "refuse")
        words = (
            "search",
            "fox",
            "--index",
            "docs",
            "--url",
            upstream.url,
            "--model",
            scorer.url,
            "--text-fields",
            "text",
        )
        more = ("--listwise-model", generator.url, "--listwise-depth", 3, "--hits", 4, "--explain")
        status, out, err = run(*words, *more)
    assert status == 0, err
    first = by_model()[:4]
    shown = [line.split()[3] for line in out.splitlines()[1:5]]
    if said is None:
        assert shown == [*reversed(first[:3]), first[3]]
        assert "rank 3 before stage two; the score of the place it has now: 50.0000" in out
        assert "stage two" not in err
    else:
        assert shown == first
        assert f"stage two is not applied: {said}" in err.replace(f"{generator.url}/v1 ", "")
