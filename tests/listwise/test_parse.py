"""Read an order in whatever a generator answers: each passage exactly once."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.listwise.parse import MOST_CHARACTERS, Reading, read_order

FOUR = ("1", "2", "3", "4")
LETTERS = ("A", "B", "C", "D")
UNREADABLE = (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("answer", "order"),
    [
        ("[3] > [1] > [4] > [2]", (2, 0, 3, 1)),
        ("3 > 1 > 4 > 2", (2, 0, 3, 1)),
        ("3 1 4 2", (2, 0, 3, 1)),
        ("[3, 1, 4, 2]", (2, 0, 3, 1)),
        ("[03] > [1 ] > [ 4] > [2].", (2, 0, 3, 1)),
        ("1. [3]\n2. [1]\n3. [4]\n4. [2]", (2, 0, 3, 1)),
        ("Passage 3 > Passage 1 > Passage 4 > Passage 2", (2, 0, 3, 1)),
        ("[3] >\n[1] >\n\n[4] > [2]\n", (2, 0, 3, 1)),
        ("[\N{FULLWIDTH DIGIT THREE}] > [1] > [4] > [2]", (2, 0, 3, 1)),
        ("<think>[1] answers, and [2] > [4] do not.</think>\n[3] > [1] > [4] > [2]", (2, 0, 3, 1)),
        ("[1] first?</THINK> [3] > [1] > [4] > [2]", (2, 0, 3, 1)),
        ("<think>a</think><think>[1] > [2] > [3] > [4]</think>[3] > [1] > [4] > [2]", (2, 0, 3, 1)),
        ("Step 1. Two needs. Step 2. [1] > [2].\n### Final Reranking: [3] > [1] > [4] > [2]", (2, 0, 3, 1)),
        ("[3] > [1] > [4] > [2] is my final ranking.", (2, 0, 3, 1)),
        ("Here is the order of the 4 passages: [3] > [1] > [4] > [2]. Passages [1] > [2] are alike.", (2, 0, 3, 1)),
        ("The best is [3], then comes [1].", (2, 0, 1, 3)),
    ],
)
def test_an_order_is_read(answer, order):
    found = read_order(answer, FOUR)
    assert (found.order, found.readable) == (order, True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[3] > [3] > [1] > [3] > [4] > [2]", Reading((2, 0, 3, 1), True, repeated=2)),
        ("[3] > [9] > [1] > [0] > [4] > [2] > [5]", Reading((2, 0, 3, 1), True, unknown=3)),
        ("[4] > [2]", Reading((3, 1, 0, 2), True, missing=2)),
        ("[4] > [2] > [", Reading((3, 1, 0, 2), True, missing=2)),
        ("[4] > [4] > [7]", Reading((3, 0, 1, 2), True, repeated=1, unknown=1, missing=3)),
        ("[3] > [1] > [4] > [2] > " + "9" * 5000, Reading((2, 0, 3, 1), True)),
    ],
)
def test_what_is_wrong_with_an_order_is_mended_and_counted(answer, expected):
    assert read_order(answer, FOUR) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n",
        "I am sorry, but I can't rank these passages.",
        "I can't rank passage [2], nor any other.",
        "All 4 passages are relevant.",
        "<html><head><title>502 Bad Gateway</title></head><body>nginx/1.18.0</body></html>",
        "<think>First [3] > [1] > [4] > [2], but what about",
        "[ ] > [ ] > [ ]",
        "\x00\ud800",
    ],
)
def test_an_answer_without_an_order_keeps_the_order(answer):
    found = read_order(answer, FOUR)
    assert (found.order, found.readable, found.missing) == (UNREADABLE, False, 4)


def test_identifiers_that_are_all_unknown_are_no_order():
    assert read_order("[7] > [8]", FOUR) == Reading(UNREADABLE, False, unknown=2, missing=4)


@pytest.mark.parametrize(
    ("answer", "order"),
    [
        ("[C] > [A] > [D] > [B]", (2, 0, 3, 1)),
        ("C > A > D > B", (2, 0, 3, 1)),
        ("Passage C > Passage A > Passage D > Passage B", (2, 0, 3, 1)),
        ("A good ranking is [C] > [A] > [D] > [B].", (2, 0, 3, 1)),
        ("I rank [C], [A] and [D] before [B].", (2, 0, 3, 1)),
    ],
)
def test_letters_are_read_as_numbers_are(answer, order):
    found = read_order(answer, LETTERS)
    assert (found.order, found.readable) == (order, True)


@given(st.text() | st.text("[]> 0123456789\n.ABthink</>"), st.integers(1, 40))
@example("[1]" * 50, 3)
@settings(max_examples=400, deadline=None)
def test_each_passage_is_there_once_whatever_is_answered(answer, count):
    found = read_order(answer, [str(number) for number in range(1, count + 1)])
    assert sorted(found.order) == list(range(count))
    assert 0 <= found.missing <= count


@pytest.mark.parametrize("piece", ["[", "[ ", "1 > ", "[1] > ", "Passage ", "<think>", "final ranking ", " ", "9", "A"])
def test_a_long_answer_takes_no_long_time(piece):
    answer = piece * (3 * MOST_CHARACTERS // len(piece))
    started = time.process_time()
    assert sorted(read_order(answer, FOUR).order) == [0, 1, 2, 3]
    assert time.process_time() - started < 2
