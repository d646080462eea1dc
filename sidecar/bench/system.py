"""A system to measure: a name, a sentence, and a function from a query with its passages to one score each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from sidecar.bench.subject import Subject
from sidecar.bench.work import Query
from sidecar.core.errors import ConfigurationError

# The baseline of all comparisons: the model card's helper as its authors' scripts run it.
YARDSTICK = "card-helper-228"

Score = Callable[[Query], list[float]]


@dataclass(frozen=True, slots=True)
class Offer:
    """A system that may run here: `load` raises ImportError or ConfigurationError if it can't.

    `load` returns a function that scores a query's passages, tokenisation included, one float for each in the order
    given; an `about` attribute of the function replaces that of the offer.
    """

    name: str
    about: str
    load: Callable[[Subject], Score]


@dataclass(slots=True)
class System:
    """A system that was loaded.

    `added` is the bytes that loading it took, None if unknown; `first_score` the seconds from the start of
    loading to its first scores: with exporting and compiling, without libraries that others had already imported.
    """

    name: str
    about: str
    score: Score
    added: int | None = None
    first_score: float = 0.0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A system that can't run here, and why."""

    name: str
    reason: str


def load(offer: Offer, subject: Subject, memory: Any, sample: Query) -> System | LeftOut:
    """Load a system, or say why not: its library is missing or fails, or it does not support the model.

    It scores a sample before its memory is measured, since weights mapped from a file are loaded only when used.
    """
    before, started = memory.now(), perf_counter()
    try:
        score = offer.load(subject)
        score(sample)
    except ImportError as error:
        return LeftOut(offer.name, f"can't be imported: {error}")
    except ConfigurationError as error:
        return LeftOut(offer.name, error.message)
    after, seconds = memory.now(), perf_counter() - started
    added = max(0, after - before) if before is not None and after is not None else None
    return System(offer.name, getattr(score, "about", offer.about), score, added, seconds)
