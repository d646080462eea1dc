"""Sort by windows: which places each has, what the generator is shown, and that nothing is lost or doubled."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.stage_two import WindowAnswer
from sidecar.listwise.first_token import TokenChoices
from sidecar.listwise.windows import Answer, sort_windows, windows_of
from tests.support.listwise import answered, knows_the_order


@pytest.mark.parametrize(
    ("count", "window", "step", "expected"),
    [
        (30, 20, 10, [(10, 30), (0, 20)]),
        (20, 20, 10, [(0, 20)]),
        (7, 20, 10, [(0, 7)]),
        (25, 20, 10, [(5, 25), (0, 20)]),
        (21, 20, 20, [(1, 21), (0, 20)]),
        (50, 20, 10, [(30, 50), (20, 40), (10, 30), (0, 20)]),
        (5, 2, 1, [(3, 5), (2, 4), (1, 3), (0, 2)]),
    ],
)
def test_windows_go_from_the_bottom_to_the_top(count, window, step, expected):
    assert [(places.start, places.stop) for places in windows_of(count, window, step)] == expected


@given(st.integers(1, 200), st.integers(2, 40), st.data())
@settings(max_examples=200, deadline=None)
def test_every_place_is_in_a_window_and_neighbours_overlap(count, window, data):
    step = data.draw(st.integers(1, window))
    found = windows_of(count, window, step)
    assert {place for places in found for place in places} == set(range(count))
    assert found[-1].start == 0
    assert all(len(places) == min(window, count) for places in found)
    assert all(above.stop - below.start >= window - step for below, above in pairwise(found))


def passages(numbers):
    return [Passage("", f"{number} words") for number in numbers]


def sorted_by(generator, numbers, **options):
    spec = ListwiseSpec(model="scripted", **options)
    return answered(sort_windows("query", passages(numbers), spec, "rankgpt"), generator)


@given(st.permutations(range(40)))
@settings(max_examples=30, deadline=None)
def test_a_generator_that_knows_the_order_lifts_the_best_from_the_bottom(numbers):
    """Windows of 20 in steps of 10 carry the best 10 of any number of passages to the top."""
    found = sorted_by(knows_the_order(lambda text: int(text.split()[0])), numbers, depth=40)
    assert [numbers[place] for place in found.order][:10] == sorted(numbers, reverse=True)[:10]


@given(st.lists(st.text(max_size=60) | st.text("[]> 0123456789", max_size=60), min_size=9, max_size=9))
@settings(max_examples=200, deadline=None)
def test_nothing_is_lost_or_doubled_whatever_is_answered(answers):
    waiting = iter(answers)
    found = sorted_by(lambda _: Answer(next(waiting)), range(100), depth=100)
    assert sorted(found.order) == list(range(100))
    assert [window.text for window in found.windows] == answers


def test_a_window_shows_what_the_window_below_lifted():
    shown = []

    def generator(chat):
        shown.append([message["content"] for message in chat.messages if message["content"].startswith("[")])
        return Answer("[3] > [2] > [1]")

    found = sorted_by(generator, range(4), window=3, step=2)
    assert shown == [["[1] 1 words", "[2] 2 words", "[3] 3 words"], ["[1] 0 words", "[2] 3 words", "[3] 2 words"]]
    assert found.order == (2, 3, 0, 1)
    assert [(one.start, one.stop) for one in found.windows] == [(1, 4), (0, 3)]


def test_what_was_wrong_with_each_answer_is_kept():
    answers = iter([Answer("I can't."), Answer("[2] > [2] > [9]", cut=True)])
    found = sorted_by(lambda _: next(answers), range(4), window=3, step=2)
    assert found.windows == (
        WindowAnswer(1, 4, "I can't.", readable=False, missing=3),
        WindowAnswer(0, 3, "[2] > [2] > [9]", repeated=1, unknown=1, missing=2, cut=True),
    )
    assert found.order == (1, 0, 2, 3)


def test_first_tokens_order_a_window():
    choices = [("B", -0.5), ("C", -1.0), ("A", -2.0)]
    found = sorted_by(lambda _: Answer("", tokens=[TokenChoices("B", choices)]), range(3), mode="first-token")
    assert (found.order, found.windows[0].text) == ((1, 2, 0), "[B] > [C] > [A]")


@pytest.mark.parametrize("count", [0, 1])
def test_there_is_nothing_to_order_in_less_than_two_passages(count):
    found = sorted_by(lambda _: pytest.fail("asked"), range(count))
    assert (found.order, found.windows) == (tuple(range(count)), ())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 21}, "A step of 21 leaves out hits between windows of 20."),
        ({"window": 1}, "can't order 30 hits by windows of 1"),
        ({"depth": 1}, "can't order 1 hits"),
        ({"step": 0}, "in steps of 0"),
        ({"passage_words": 0}, "0 words"),
        ({"mode": "first-token", "window": 21}, "The first token can order 20 passages, not a window of 21."),
        ({"request": {"stream": True}}, "can't set stream"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        ListwiseSpec(model="scripted", **options)


def test_a_thousand_random_orders_stay_whole():
    chance = random.Random(4)

    def generator(chat):
        names = [chance.choice(chat.identifiers) for _ in range(chance.randrange(30))]
        return Answer(" > ".join(f"[{name}]" for name in names))

    for _ in range(1000):
        assert sorted(sorted_by(generator, range(30)).order) == list(range(30))
