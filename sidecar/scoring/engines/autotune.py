"""Measure which of several engines is the fastest on this machine: once, in two seconds; then remember the choice.

The choice is kept in the user's cache folder, one JSON file for each question. It never changes, so a resumed run
computes as it began. If the folder can't be written, nothing is measured: the first candidate is taken.
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
# Another candidate must be clearly faster than the first, so that noise does not decide.
MARGIN = 1.1


class Choice(msgspec.Struct, frozen=True):
    """`asked` is all that the choice depends on; `seconds` the best time of each candidate, `chosen` one of them."""

    asked: dict[str, str]
    seconds: dict[str, float]
    chosen: str


def cache_folder() -> Path:
    """Return our folder in the user's cache (XDG_CACHE_HOME, or ~/.cache). It may not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "rerank-sidecar"  # noqa: PTH111  Path raises if there is no home


def fastest(
    candidates: Callable[[], Mapping[str, Callable[[], object]]],
    first: str,
    asked: dict[str, str],
    *,
    folder: Path | None = None,
    clock: Callable[[], float] = perf_counter,
) -> str:
    """Name the candidate to take: the remembered one, else the fastest by measurement; `first` if it is about as fast.

    `candidates` returns the calls to time, by name; it is only called to measure.
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
            path.unlink(missing_ok=True)  # damaged; a file that appears later is another process's choice
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".") as draft:
            seconds = measure(candidates(), clock=clock)
            draft.write(msgspec.json.format(msgspec.json.encode(Choice(asked, seconds, choose(seconds, first)))))
            draft.flush()
            # Unlike a rename this fails if another process has written its choice meanwhile.
            os.link(draft.name, path)
    except OSError:
        pass
    known = recall(path)
    return first if known is None else known.chosen


def measure(runs: Mapping[str, Callable[[], object]], *, clock: Callable[[], float]) -> dict[str, float]:
    """Time the calls in turn, `ROUNDS` times or until `SECONDS` are over; return the best time of each."""
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
    """Return the fastest, or `first` if it is about as fast."""
    winner = min(seconds, key=lambda name: seconds[name])
    return first if seconds[first] <= MARGIN * seconds[winner] else winner


def recall(path: Path) -> Choice | None:
    """Read a choice; None if there is none, or a damaged one."""
    try:
        answer = msgspec.json.decode(path.read_bytes(), type=Choice)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return answer if answer.chosen in answer.seconds else None


def remembered(folder: Path | None = None) -> Iterator[Choice]:
    """Return all choices in a folder."""
    paths = sorted((folder or cache_folder()).glob("engine-*.json"))
    return (answer for path in paths if (answer := recall(path)) is not None)
