"""Where a training lives: whole checkpoints or none, gone on with only by right, and an output that appears at once."""

from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.training.run_dir import RunDirectory


def save(place, step, *, best=None):
    (place.staging / f"checkpoint-{step}").mkdir()
    (place.staging / f"checkpoint-{step}" / "weights").write_text(str(step))
    place.keep(step, best)


def test_the_last_and_the_best_checkpoint_are_kept(tmp_path):
    place = RunDirectory(tmp_path / "out", {}, resume=False)
    save(place, 2, best=2)
    save(place, 4, best=2)
    save(place, 6, best=2)
    assert place.steps() == [2, 6]
    assert (place.last / "weights").read_text() == "6"


def test_a_checkpoint_that_was_half_written_is_none(tmp_path):
    place = RunDirectory(tmp_path / "out", {"seed": "1"}, resume=False)
    save(place, 2)
    (place.staging / "checkpoint-4").mkdir()  # and then the process was killed
    again = RunDirectory(tmp_path / "out", {"seed": "1"}, resume=True)
    assert again.last == again.checkpoint(2)
    again.staging.joinpath("checkpoint-4").mkdir(exist_ok=True)
    save_over = again.staging / "checkpoint-4" / "weights"
    save_over.write_text("4")
    again.keep(4, None)
    assert (again.last / "weights").read_text() == "4"


def test_without_a_checkpoint_a_training_simply_begins_anew(tmp_path):
    RunDirectory(tmp_path / "out", {"seed": "1"}, resume=False)
    assert RunDirectory(tmp_path / "out", {"seed": "2"}, resume=False).last is None


def test_what_is_unfinished_is_only_gone_on_with_when_asked_and_by_the_same_command(tmp_path):
    save(RunDirectory(tmp_path / "out", {"seed": "1", "data 1": "ab"}, resume=False), 2)
    with pytest.raises(ConfigurationError, match="unfinished training of 2 steps is in"):
        RunDirectory(tmp_path / "out", {"seed": "1", "data 1": "ab"}, resume=False)
    with pytest.raises(ConfigurationError, match="differs in data 1, seed"):
        RunDirectory(tmp_path / "out", {"seed": "2", "data 1": "cd"}, resume=True)


def test_a_training_does_not_go_on_with_another_base_under_the_same_name(tmp_path):
    # A folder whose weights were replaced, or a hub name without a revision that has a new commit.
    place = RunDirectory(tmp_path / "out", {}, resume=False)
    place.confirm("base model files", "ab")
    place.confirm("base model files", "ab")
    save(place, 2)
    again = RunDirectory(tmp_path / "out", {}, resume=True)
    again.confirm("base model files", "ab")
    with pytest.raises(ConfigurationError, match="differs in base model files"):
        again.confirm("base model files", "cd")


def test_without_a_checkpoint_the_base_may_be_another(tmp_path):
    RunDirectory(tmp_path / "out", {}, resume=False).confirm("base model files", "ab")
    RunDirectory(tmp_path / "out", {}, resume=False).confirm("base model files", "cd")


def test_an_output_that_is_there_is_never_written_over(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match="is there already"):
        RunDirectory(tmp_path / "out", {}, resume=False)


def test_the_output_appears_whole_or_not_at_all(tmp_path):
    place = RunDirectory(tmp_path / "out", {}, resume=False)
    with pytest.raises(ZeroDivisionError), place.publish() as folder:
        folder.joinpath("half").write_text(str(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == [".out.training"]
    with place.publish() as folder:
        (folder / "whole").write_text("x")
        assert not place.output.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
