"""`sidecar mine`, `teach` and `train` as commands: what they are given, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from sidecar.cli.train_command import _weighted
from sidecar.core.errors import ConfigurationError
from tests.support.training import tasks
from tests.support.training.five_commands import done


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tasks.write(tmp_path / "train.jsonl", tasks.lists(4, seed=1))


@pytest.mark.parametrize(
    ("given", "path", "weight"),
    [("a.jsonl", "a.jsonl", 1), ("a.jsonl=2.5", "a.jsonl", 2.5), ("lr=high.jsonl", "lr=high.jsonl", 1)],
)
def test_a_teachers_weight_may_follow_its_file(given, path, weight):
    assert _weighted(given) == (Path(path), weight)


def test_a_weight_is_above_nothing():
    with pytest.raises(ConfigurationError, match="a teacher's weight is above 0"):
        _weighted("a.jsonl=0")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "train.jsonl", "--output", "out"], "the base model is missing"),
        (["train", "train.jsonl", "--output", ".", "--base-model", "e5-small"], "is there already"),
        (["train", "absent.jsonl", "--output", "out", "--base-model", "e5-small"], "can't read absent.jsonl"),
        (
            ["train", "train.jsonl", "--output", "out", "--base-model", "e5-small", "--teacher-scores", "scores.jsonl"],
            "scores.jsonl lacks the scores of 20 passages",
        ),
        (["mine", "--index", "i", "--output", "o", "--topics", "t"], "one of two files is missing"),
        (["mine", "--index", "i", "--output", "o", "--click-events", "t", "--qrels", "q"], "judgements or clicks"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(data, capsys, words, message):
    Path("scores.jsonl").write_text('{"query": "another", "scores": {}}\n')
    said = done(words, status=1, capsys=capsys)
    assert message in said
    assert "Traceback" not in said
    assert not Path("out").exists()


def test_teach_writes_a_score_for_every_passage_and_a_second_time_changes_nothing(data, tiny_bert, capsys):
    words = ["teach", "train.jsonl", "--model", str(tiny_bert), "--device", "cpu", "--output", "scores.jsonl"]
    done(words)
    first = Path("scores.jsonl").read_bytes()
    lines = [json.loads(line) for line in first.splitlines()]
    assert [(line["query"], len(line["scores"])) for line in lines] == [(f"about thing{n}", 5) for n in range(4)]
    done([*words, "--force"])
    assert Path("scores.jsonl").read_bytes() == first


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_clicks_become_training_data_over_an_index(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    documents = {"a": "fleas and fleas", "b": "fleas live long", "c": "some fleas", "d": "dogs"}
    Path("corpus.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in documents.items()))
    done(["index", "corpus.jsonl", "--index", "index"])
    Path("queries.jsonl").write_text(
        json.dumps({"query_id": "1", "user_query": "fleas", "query_response_hit_ids": ["a", "b", "c"]}) + "\n"
    )
    event = {"action_name": "click", "query_id": "1", "event_attributes": {"object": {"object_id": "b"}}}
    Path("events.jsonl").write_text(json.dumps(event) + "\n")
    clicks = ["--click-queries", "queries.jsonl", "--click-events", "events.jsonl"]
    said = done(["mine", "--index", "index", "--output", "train.jsonl", *clicks], capsys=capsys)
    assert "1 searches with a click" in said
    [line] = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    # c stands below the click, so nobody knows whether it was seen.
    assert {one["docid"]: one["label"] for one in line["candidates"]} == {"a": 0, "b": 1}


@pytest.fixture
def unfinished(run, tmp_path, tiny_bert):
    """Return the words of a teaching whose scores are in its journal, and could not be written."""
    shutil.copytree(tiny_bert, tmp_path / "m")
    docs = [{"docid": "d1", "text": "fox", "label": 1}, {"docid": "d2", "text": "dog"}, {"docid": "d3", "text": ""}]
    lines = [{"query_id": f"q{n}", "query": f"fox {n}", "candidates": docs} for n in range(3)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["teach", "t.jsonl", "--model", "./m", "--device", "cpu", "--output", "o"]
    obstacle = tmp_path / f".o.{os.getpid()}.partial"
    obstacle.mkdir()
    assert "3 finished queries are kept" in run(*words)[2]
    obstacle.rmdir()
    return words


def test_a_teacher_that_was_replaced_meanwhile_does_not_go_on(run, tmp_path, unfinished):
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_act": "relu"}))
    status, _, said = run(*unfinished, "--resume")
    assert (status, "differs in model_files" in said, "--force" in said) == (1, True, True)
    status, _, said = run(*unfinished, "--resume", "--force")
    assert (status, "differs in model_files: it is discarded" in said) == (0, True)
    run(*unfinished[:-1], "anew")
    assert (tmp_path / "o").read_text() == (tmp_path / "anew").read_text()


def test_a_teaching_of_other_groups_does_not_go_on(run, unfinished):
    status, _, said = run(*unfinished, "--resume", "--drop-contradictions")
    assert (status, "differs in drop_contradictions" in said) == (1, True)
    status, _, said = run(*unfinished, "--resume")
    assert (status, "3 queries" in said) == (0, True)
