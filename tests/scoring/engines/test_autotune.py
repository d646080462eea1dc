from __future__ import annotations

import threading

import pytest

from sidecar.scoring.engines import autotune

ASKED = {"cpu": "a CPU", "threads": "2"}


class Clock:
    """Moves only when a call is timed: by what the call costs."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now

    def run(self, name, *costs):
        left = list(costs)

        def call():
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


@pytest.fixture
def clock():
    return Clock()


def ask(clock, folder, *, asked=ASKED, **costs):
    costs = {name: cost if isinstance(cost, tuple) else (cost,) for name, cost in costs.items()}
    runs = {name: clock.run(name, *cost) for name, cost in costs.items()}
    return autotune.fastest(lambda: runs, "first", asked, folder=folder, clock=clock)


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [(0.1, 0.2, "first"), (0.2, 0.1, "second"), (0.104, 0.1, "first"), (0.12, 0.1, "second")],
)
def test_the_first_is_given_up_only_for_what_is_clearly_faster(clock, tmp_path, first, second, chosen):
    assert ask(clock, tmp_path, first=first, second=second) == chosen


def test_the_best_of_several_rounds_counts_not_the_first_one(clock, tmp_path):
    assert ask(clock, tmp_path, first=(0.9, 0.1), second=0.15) == "first"
    assert clock.calls == ["first", "second"] * autotune.ROUNDS


def test_measuring_ends_after_two_seconds(clock, tmp_path):
    ask(clock, tmp_path, first=0.9, second=0.4)
    assert clock.calls == ["first", "second"] * 2
    ask(clock, tmp_path / "slow", first=30.0, second=20.0)
    assert clock.calls[4:] == ["first", "second"]


def test_an_answer_is_kept_and_not_measured_again(clock, tmp_path):
    assert ask(clock, tmp_path / "cache", first=0.2, second=0.1) == "second"
    measured = len(clock.calls)
    assert ask(clock, tmp_path / "cache", first=0.1, second=0.2) == "second"
    assert len(clock.calls) == measured


def test_another_question_has_another_answer(clock, tmp_path):
    assert ask(clock, tmp_path, first=0.2, second=0.1) == "second"
    assert ask(clock, tmp_path, first=0.1, second=0.2, asked=ASKED | {"threads": "4"}) == "first"
    assert [answer.chosen for answer in autotune.remembered(tmp_path)].count("second") == 1


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"asked": {}, "seconds": {}, "chosen": "second"}', b"[]"])
def test_a_damaged_answer_is_measured_anew(clock, tmp_path, damage):
    ask(clock, tmp_path, first=0.1, second=0.2)
    [path] = tmp_path.iterdir()
    path.write_bytes(damage)
    assert ask(clock, tmp_path, first=0.2, second=0.1) == "second"
    assert autotune.recall(path).seconds == {"first": pytest.approx(0.2), "second": pytest.approx(0.1)}


def test_where_nothing_can_be_written_nothing_is_measured(clock, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert ask(clock, tmp_path / "file" / "cache", first=0.2, second=0.1) == "first"
    assert clock.calls == []


def test_of_two_processes_the_first_to_answer_is_right(clock, tmp_path):
    def other_answers_meanwhile():
        ask(Clock(), tmp_path, first=0.1, second=0.2)
        return {"first": clock.run("first", 0.2), "second": clock.run("second", 0.1)}

    assert autotune.fastest(other_answers_meanwhile, "first", ASKED, folder=tmp_path, clock=clock) == "first"
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_many_at_once_agree(tmp_path):
    found = []

    def answer(index):
        costs = {"first": 0.1, "second": 0.2} if index % 2 else {"first": 0.2, "second": 0.1}
        found.append(ask(Clock(), tmp_path, **costs))

    threads = [threading.Thread(target=answer, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1


def test_the_folder_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert autotune.cache_folder() == tmp_path / "rerank-sidecar"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert autotune.cache_folder() == tmp_path / ".cache" / "rerank-sidecar"
