"""The summary of a long run, in one line."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.cli.progress import Pace
from sidecar.experiments.rerank_lists import TextWatch

_SHOWN = 5


def summary_of(pace: Pace, resumed: int, remembered: int) -> str:
    """Say how much was done, in how many seconds."""
    seconds, computed = pace.seconds, pace.passages
    earlier = f" ({resumed} of them before)" if resumed else ""
    known = f" and {remembered} taken from the score file" if remembered else ""
    rate = f" ({computed / seconds:.0f}/s)" if computed else ""
    return f"{pace.done} queries{earlier}, {computed} passages scored{known} in {seconds:.1f} s{rate}"


def unscored(watch: TextWatch) -> str:
    """Say what was not scored; empty if all was."""
    queries = f", in {watch.unreadable} queries all of them" if watch.unreadable else ""
    empty = f"; {watch.empty} candidates without text were not scored{queries}" if watch.empty else ""
    shown = ", ".join(watch.bare[:_SHOWN]) + (" …" if watch.bare[_SHOWN:] else "")
    return empty + (f"; {len(watch.bare)} queries have no candidate: {shown}" if watch.bare else "")


def stage_two_answers(answers: Mapping[str, int]) -> str:
    """Say how the generator answered; empty if there is none."""
    return f"; stage two: {answers_in_words(answers)}" if answers else ""


def answers_in_words(answers: Mapping[str, int]) -> str:
    """Return the number of a generator's answers, and of those that were not as they should be."""
    wrong = {
        "mended": "did not name every passage once",
        "unreadable": "held no order, so that their windows kept the one they had",
        "cut": "reached the largest number of tokens",
    }
    found = [f"{answers[kind]} {words}" for kind, words in wrong.items() if answers[kind]]
    return f"{answers['windows']} answers" + (f", of which {', '.join(found)}" if found else "")
