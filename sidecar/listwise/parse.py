"""Read the order of the passages in a generator's answer, whatever else is in it. No I/O.

Every reading names each passage exactly once: repeated and unknown identifiers are left out, and passages that the
answer does not name follow in the order that they had.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# A longer answer is no list of identifiers; its end is read, where the ranking stands.
MOST_CHARACTERS = 100_000
_FINAL = re.compile(r"final\s+(?:re-?)?ranking", re.IGNORECASE)
_BEGUN, _THOUGHT = re.compile("<think>", re.IGNORECASE), re.compile("</think>", re.IGNORECASE)
# White space is collapsed before these are applied, so that none of them takes quadratic time.
_NUMBER = r"(?:[Pp]assage )?\[? ?(\d{1,6}) ?\]?"
_LETTER = r"(?:[Pp]assage )?\[? ?([A-Z]) ?\]?"


@dataclass(frozen=True, slots=True)
class _Forms:
    """How identifiers of one kind are written: alone, in brackets, and in a chain with `>` between."""

    alone: re.Pattern[str]
    bracketed: re.Pattern[str]
    chain: re.Pattern[str]


_NUMBERS = _Forms(re.compile(r"\d+"), re.compile(r"\[ ?(\d{1,6}) ?\]"), re.compile(rf"{_NUMBER}(?: ?> ?{_NUMBER})+"))
_LETTERS = _Forms(
    re.compile(r"\b[A-Z]\b"), re.compile(r"\[ ?([A-Z]) ?\]"), re.compile(rf"{_LETTER}(?: ?> ?{_LETTER})+")
)


@dataclass(frozen=True, slots=True)
class Reading:
    """The order in an answer: positions from 0, each exactly once.

    `readable` is False if there is none, and the order is the one that the passages had. `repeated` and `unknown` count
    identifiers that were left out, `missing` passages that the answer does not name.
    """

    order: tuple[int, ...]
    readable: bool = True
    repeated: int = 0
    unknown: int = 0
    missing: int = 0


def read_order(answer: str, identifiers: Sequence[str]) -> Reading:
    """Return the order of the passages that have these identifiers, as an answer lists them.

    What stands before the end of a thought (`</think>`) or before `Final Reranking` is not read. An answer without
    words is read from left to right. In any other the longest chain `[3] > [1]` counts, else the identifiers in
    brackets if they name at least half of the passages.
    """
    text = " ".join(_conclusion(answer).split())
    forms = _NUMBERS if identifiers[0].isdigit() else _LETTERS
    return complete(_found(text, forms, len(identifiers)), identifiers)


def complete(found: Sequence[str], identifiers: Sequence[str]) -> Reading:
    """Make an order of the identifiers that an answer lists, and count what is wrong with them."""
    places = {name: place for place, name in enumerate(identifiers)}
    known = [places[name] for name in found if name in places]
    named = dict.fromkeys(known)
    rest = tuple(place for place in range(len(identifiers)) if place not in named)
    if not named:
        return Reading(rest, readable=False, unknown=len(found), missing=len(rest))
    return Reading((*named, *rest), True, len(known) - len(named), len(found) - len(known), len(rest))


def _conclusion(answer: str) -> str:
    """Return what follows the thought and the announcement of the ranking; an unfinished thought has no conclusion."""
    text = answer[-MOST_CHARACTERS:]
    if thoughts := list(_THOUGHT.finditer(text)):
        text = text[thoughts[-1].end() :]
    elif _BEGUN.search(answer[:MOST_CHARACTERS]):
        return ""
    announced = list(_FINAL.finditer(text))
    after = text[announced[-1].end() :] if announced else ""
    return after if re.search(r"\d|\[", after) else text


def _found(text: str, forms: _Forms, count: int) -> list[str]:
    """Return the identifiers that the text lists, in their order."""
    bracketed = [_normal(one) for one in forms.bracketed.findall(text)]
    if not any(map(str.isalpha, forms.alone.sub("", text))):
        # Numbers beside those in brackets are those of a numbered list.
        return bracketed or [_normal(one) for one in forms.alone.findall(text)]
    chains = [forms.alone.findall(chain[0]) for chain in forms.chain.finditer(text)]
    if chains:
        return [_normal(one) for one in max(reversed(chains), key=len)]
    return bracketed if 2 * len(set(bracketed)) >= count else []


def _normal(identifier: str) -> str:
    """Write a number as its identifier is written; one of very many digits is none of them."""
    if not identifier.isdigit():
        return identifier
    return str(int(identifier)) if len(identifier) <= 6 else ""
