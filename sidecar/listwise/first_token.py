"""Read an order off the probabilities of an answer's first identifier, without generating the rest. No I/O.

Source: FIRST, arXiv 2406.15657. One forward pass orders a window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Marks of white space in the vocabularies of byte-level BPE and SentencePiece.
_MARKS = "ĠĊ▁"
_AROUND = " \t\r\n[]" + _MARKS


@dataclass(frozen=True, slots=True)
class TokenChoices:
    """The token at one position of an answer, and the likeliest tokens there with their log probabilities."""

    chosen: str
    choices: Sequence[tuple[str, float]]


# The first positions of an answer.
FirstTokens = Sequence[TokenChoices]


def likeliest_first(tokens: FirstTokens, identifiers: Sequence[str]) -> list[str]:
    """Return the identifiers that the first token may be, the likeliest first; equal ones in the order given.

    A bracket may be a token of its own or part of the identifier's (`[A`): the probability of an identifier is the sum
    over both. Identifiers that the answer gives no probability are left out.
    """
    probability = dict.fromkeys(identifiers, 0.0)
    before = 1.0
    for position in tokens:
        for token, logarithm in position.choices:
            name = token.strip(_AROUND)
            if name in probability and logarithm <= 0:
                probability[name] += before * math.exp(logarithm)
        if position.chosen.strip(_AROUND):
            break  # the answer has begun: later tokens are no first identifier
        before *= math.exp(min(0.0, dict(position.choices).get(position.chosen, 0.0)))
    found = [name for name in identifiers if probability[name] > 0]
    return sorted(found, key=lambda name: -probability[name])
