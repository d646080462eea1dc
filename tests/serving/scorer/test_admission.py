"""Who is let into the queue, in plain numbers: those whose turn comes in time."""

from __future__ import annotations

from sidecar.core.candidates import Passage
from sidecar.core.token_guess import guess_tokens
from sidecar.serving.scorer.admission import Admission


def admission(**waiting):
    found = Admission()
    found.measured("m", 1000, 1.0)
    for caller, tokens in waiting.items():
        found.add("m", caller, tokens)
    return found


def test_tokens_are_guessed_from_characters():
    assert guess_tokens("12345678", [Passage("", ""), Passage("1234", "12345678")]) == [3, 6]


def test_whoever_would_come_too_late_is_not_let_in():
    assert not admission().comes_too_late("m", "a", 5000, 3.0)  # part of it is better than nothing
    assert not admission(a=1000).comes_too_late("m", "a", 5000, 3.0)  # most of its time is its own
    # A fifth of the budget is left over for what comes between.
    assert not admission(a=1600).comes_too_late("m", "a", 800, 3.0)
    assert admission(a=1600).comes_too_late("m", "a", 801, 3.0)
    assert admission(a=3000).comes_too_late("m", "a", 1, 3.0)


def test_what_one_caller_piled_up_is_no_reason_to_refuse_another():
    found = admission(greedy=50_000)
    assert found.comes_too_late("m", "greedy", 500, 3.0)
    assert not found.comes_too_late("m", "modest", 500, 3.0)
    assert found.seconds_ahead("m", "modest", 500) == 0.5
    many = admission(**{f"c{i}": 1000 for i in range(10)})
    assert many.seconds_ahead("m", "new", 1000) == 10.0
    assert many.seconds_ahead("m", "new", 5000) == 10.0  # never more than there is


def test_a_model_never_measured_is_tried_and_each_has_its_pace():
    found = admission()
    found.add("slow", "a", 1000)
    assert found.seconds_ahead("m", "a", 1) == 0
    found.measured("slow", 10, 1.0)
    assert found.seconds_ahead("m", "a", 1) == 100.0


def test_who_waits_no_more_is_forgotten():
    found = admission(a=1000, b=500)
    found.add("m", "a", -1000)
    assert list(found.waiting) == [("m", "b")]
    assert found.seconds_ahead("m", "b", 100) == 0.5
