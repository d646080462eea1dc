"""Generators of stage two without a model."""

from __future__ import annotations

import re

from sidecar.listwise.windows import Answer


def answered(sorting, generator):
    """Drive a sorting to its end; `generator` answers each chat."""
    answer = None
    while True:
        try:
            answer = generator(sorting.send(answer))
        except StopIteration as end:
            return end.value


def shown(messages, identifiers):
    """The texts of a chat's passages, by their identifiers."""
    turns = (re.match(r"\[(\w+)\] (.*)", message["content"]) for message in messages if message["role"] == "user")
    return {turn[1]: turn[2] for turn in turns if turn and turn[1] in identifiers}


def knows_the_order(worth):
    """A generator that orders passages by their worth, which is computed from the text; equal ones stay."""

    def generator(chat):
        texts = shown(chat.messages, chat.identifiers)
        order = sorted(chat.identifiers, key=lambda name: -worth(texts[name]))
        return Answer(" > ".join(f"[{name}]" for name in order))

    return generator
