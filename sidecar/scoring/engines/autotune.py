"""Which of several ways to compute is the fastest here: measured once, in two seconds, and remembered.

Remembered in the user's cache folder, one JSON file for each question; what was answered first stays the answer, so a
run that goes on computes as it began. Where nothing can be written nothing is measured: the first candidate is taken.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter

import msgspec

SECONDS = 2.0
ROUNDS = 5
# The first candidate is given up only for one that is clearly faster, so noise does not decide.
MARGIN = 1.1


class Choice(msgspec.Struct, frozen=True):
    """`asked` is all that the answer depends on; `seconds` the best time of each candidate, `chosen` one of them."""

    asked: dict[str, str]
    seconds: dict[str, float]
    chosen: str


def cache_folder() -> Path:
    """The user's cache folder for us (XDG_CACHE_HOME, or ~/.cache). It may not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "rerank-sidecar"  # noqa: PTH111  Path raises where there is no home


def fastest(
    candidates: Callable[[], Mapping[str, Callable[[], object]]],
    first: str,
    asked: dict[str, str],
    *,
    folder: Path | None = None,
    clock: Callable[[], float] = perf_counter,
) -> str:
    """Name the candidate to take: the remembered one, or else the fastest by measure; `first` where that is no matter.

    `candidates` makes the ready calls to be timed, by name, and is only called to measure.
    """
    folder = folder or cache_folder()
    digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:16]
    path = folder / f"engine-{digest}.json"
    there = path.exists()
    known = recall(path)
    if known is not None:
        return known.chosen
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if there:
            path.unlink(missing_ok=True)  # damaged; what was not there a moment ago is another's answer
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".") as draft:
            seconds = measure(candidates(), clock=clock)
            draft.write(msgspec.json.format(msgspec.json.encode(Choice(asked, seconds, choose(seconds, first)))))
            draft.flush()
            # Unlike a rename this fails where another process has answered meanwhile.
            os.link(draft.name, path)
    except OSError:
        pass
    known = recall(path)
    return first if known is None else known.chosen


def measure(runs: Mapping[str, Callable[[], object]], *, clock: Callable[[], float]) -> dict[str, float]:
    """Time the calls in turn, `ROUNDS` times or until `SECONDS` are over; the best time of each."""
    best: dict[str, float] = {}
    end = clock() + SECONDS
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = clock()
            run()
            best[name] = min(best.get(name, float("inf")), clock() - started)
        if clock() >= end:
            break
    return best


def choose(seconds: Mapping[str, float], first: str) -> str:
    """The fastest, or `first` if it is about as fast."""
    winner = min(seconds, key=lambda name: seconds[name])
    return first if seconds[first] <= MARGIN * seconds[winner] else winner


def recall(path: Path) -> Choice | None:
    """Read an answer; None where there is none, or a damaged one."""
    try:
        answer = msgspec.json.decode(path.read_bytes(), type=Choice)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return answer if answer.chosen in answer.seconds else None


def remembered(folder: Path | None = None) -> Iterator[Choice]:
    """All the answers of a folder."""
    paths = sorted((folder or cache_folder()).glob("engine-*.json"))
    return (answer for path in paths if (answer := recall(path)) is not None)
