"""Sort the top of a ranking by windows, from the bottom to the top, with the answers of a generator. No I/O.

Every passage stays exactly once, whatever the generator answers.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from sidecar.core.candidates import Passage
from sidecar.core.listwise_spec import ListwisePrompt, ListwiseSpec
from sidecar.core.stage_two import WindowAnswer
from sidecar.listwise.first_token import FirstTokens, likeliest_first
from sidecar.listwise.parse import MOST_CHARACTERS, Reading, complete, read_order
from sidecar.listwise.prompt import Chat, ranking_chat, whole_characters


@dataclass(frozen=True, slots=True)
class Answer:
    """A generator's answer to a chat: its text, or for first-token ranking the `tokens` that it could begin with.

    `cut` is True if it reached the largest number of tokens.
    """

    text: str
    cut: bool = False
    tokens: FirstTokens | None = None


@dataclass(frozen=True, slots=True)
class Sorted:
    """The new order of the passages, as positions in the old one, and the answer on each window."""

    order: tuple[int, ...]
    windows: tuple[WindowAnswer, ...]


# Yields a chat, is sent its answer, and returns the order.
Sorting = Generator[Chat, Answer, Sorted]


def advance(sorting: Sorting, answer: Answer | None) -> Chat | Sorted:
    """Send a sorting the answer to its last chat, None at its beginning; return its next chat, or the order."""
    try:
        return next(sorting) if answer is None else sorting.send(answer)
    except StopIteration as end:
        found: Sorted = end.value
        return found


def windows_of(count: int, window: int, step: int) -> list[range]:
    """Return the places of each window, the last places first; the last window always begins at the first place.

    Neighbours share `window - step` places or more, so that many passages can rise from each window to the next.
    """
    found, stop = [], count
    while stop > window:
        found.append(range(stop - window, stop))
        stop -= step
    return [*found, range(min(window, count))]


def sort_windows(query: str, passages: Sequence[Passage], spec: ListwiseSpec, prompt: ListwisePrompt) -> Sorting:
    """Sort passages, best first; yields one chat after the other, since each window depends on the one below it."""
    order, answers = list(range(len(passages))), []
    for places in windows_of(len(passages), spec.window, spec.step) if len(passages) > 1 else []:
        shown = [passages[order[place]] for place in places]
        chat = ranking_chat(query, shown, mode=spec.mode, prompt=prompt, words=spec.passage_words)
        answer = yield chat
        text, reading = _read(answer, chat)
        order[places.start : places.stop] = [order[places.start + position] for position in reading.order]
        counted = (reading.readable, reading.repeated, reading.unknown, reading.missing)
        answers.append(WindowAnswer(places.start, places.stop, text, *counted, answer.cut))
    return Sorted(tuple(order), tuple(answers))


def _read(answer: Answer, chat: Chat) -> tuple[str, Reading]:
    """Return the answer as text, and the order in it."""
    text = whole_characters(answer.text[-MOST_CHARACTERS:])
    if answer.tokens is None:
        return text, read_order(text, chat.identifiers)
    found = likeliest_first(answer.tokens, chat.identifiers)
    return " > ".join(f"[{name}]" for name in found) or text, complete(found, chat.identifiers)
