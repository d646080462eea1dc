"""The order in the probabilities of the first identifier."""

from __future__ import annotations

from math import inf, log, nan

import pytest

from sidecar.listwise.first_token import TokenChoices, likeliest_first

NAMES = ("A", "B", "C")


@pytest.mark.parametrize(
    ("tokens", "order"),
    [
        ([TokenChoices("B", [("B", log(0.5)), ("C", log(0.3)), ("A", log(0.2))])], ["B", "C", "A"]),
        # A bracket before, as a token of its own.
        ([TokenChoices("[", [("[", log(0.9))]), TokenChoices("C", [("C", log(0.6)), ("A", log(0.4))])], ["C", "A"]),
        # 0.3 in one token against 0.5 · 0.5 and 0.5 · 0.4 after a bracket.
        (
            [
                TokenChoices("[", [("[", log(0.5)), ("[A", log(0.3))]),
                TokenChoices("B", [("B", log(0.5)), ("C", log(0.4))]),
            ],
            ["A", "B", "C"],
        ),
        # 0.2 + 0.5 · 0.5 = 0.45 for A, 0.3 for B.
        (
            [
                TokenChoices("[", [("[", log(0.5)), ("ĠB", log(0.3)), ("▁A", log(0.2))]),
                TokenChoices("A", [("A", log(0.5))]),
            ],
            ["A", "B"],
        ),
        # Equal ones keep their order.
        ([TokenChoices("C", [("C", log(0.25)), ("B", log(0.25)), ("A", log(0.5))])], ["A", "B", "C"]),
        # Talk is no identifier, and ends the beginning of the answer.
        ([TokenChoices("Sure", [("Sure", log(0.9))]), TokenChoices("A", [("A", 0.0)])], []),
        ([TokenChoices("Sure", [("Sure", log(0.9)), ("B", log(0.1))]), TokenChoices("A", [("A", 0.0)])], ["B"]),
        ([TokenChoices("A", [("A", nan), ("B", -inf), ("C", 7.0), ("AB", log(0.1))])], []),
        ([], []),
    ],
)
def test_identifiers_are_ordered_by_their_probability(tokens, order):
    assert likeliest_first(tokens, NAMES) == order
