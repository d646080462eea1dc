"""The benchmark's result as one record, and as a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from sidecar.bench.figures import Spread, largest_difference, mean_tau, spread, times_faster
from sidecar.bench.rounds import Timing
from sidecar.bench.system import YARDSTICK, System
from sidecar.core.atomic_write import atomic_write

SENTENCE_TRANSFORMERS = "sentence-transformers"


class Machine(msgspec.Struct, frozen=True):
    """The machine of the run; `peak_gflops` is the best matmul of this run in `dtype`, `versions` by library."""

    name: str
    device: str
    dtype: str
    peak_gflops: float
    versions: dict[str, str]


class WorkFigures(msgspec.Struct, frozen=True):
    """The size of a round. `tokens` are real ones, without padding; `gflop` is their cost without padding.

    `cut` says which pairs were left out to fit the time, `left_out` which systems did not run, and why.
    """

    model: str
    source: str
    queries: int
    pairs: int
    tokens: int
    gflop: float
    rounds: int
    cut: str
    left_out: dict[str, str]


class Point(msgspec.Struct, frozen=True):
    """One size of a series: a number of documents of one query, or of simultaneous callers."""

    size: int
    median_s: float
    pairs_per_s: float


class SystemFigures(msgspec.Struct, frozen=True):
    """A system's figures.

    `spread_s` is the interquartile range of `rounds_s`, `first_score_s` how long loading and a first list took.
    `memory_mb` is the memory that loading it and a pass added. `max_diff_sigma` and `tau` are against plain
    transformers in float32, one pair at a time. `times_card` and `times_sentence_transformers` are paired round by
    round, each with its range; None without that system.
    """

    name: str
    about: str
    median_s: float
    spread_s: float
    pairs_per_s: float
    tokens_per_s: float
    gflops: float
    share_of_peak: float
    memory_mb: float | None
    first_score_s: float
    max_diff_sigma: float
    tau: float
    times_card: tuple[float, float] | None
    times_sentence_transformers: tuple[float, float] | None
    rounds_s: list[float]
    by_documents: list[Point] = []
    by_callers: list[Point] = []


class Report(msgspec.Struct, frozen=True):
    """The whole report: `{"machine": …, "work": …, "systems": […]}`."""

    machine: Machine
    work: WorkFigures
    systems: list[SystemFigures]


def lines(
    systems: Sequence[System],
    timings: Sequence[Timing],
    oracle: Sequence[Sequence[float]],
    *,
    work: WorkFigures,
    machine: Machine,
) -> list[SystemFigures]:
    """Return the figures of every system, in the order given."""
    rounds = {system.name: timing.seconds for system, timing in zip(systems, timings, strict=True)}
    return [
        _line(system, timing, oracle, rounds, work=work, machine=machine)
        for system, timing in zip(systems, timings, strict=True)
    ]


def _line(  # noqa: PLR0913  by keyword
    system: System,
    timing: Timing,
    oracle: Sequence[Sequence[float]],
    rounds: dict[str, list[float]],
    *,
    work: WorkFigures,
    machine: Machine,
) -> SystemFigures:
    seconds = spread(timing.seconds)
    gflops = work.gflop / seconds.median
    return SystemFigures(
        name=system.name,
        about=system.about,
        median_s=seconds.median,
        spread_s=seconds.range,
        pairs_per_s=work.pairs / seconds.median,
        tokens_per_s=work.tokens / seconds.median,
        gflops=gflops,
        share_of_peak=gflops / machine.peak_gflops,
        memory_mb=None if system.added is None or timing.peak is None else (system.added + timing.peak) / 1e6,
        first_score_s=system.first_score,
        max_diff_sigma=largest_difference(timing.scores, oracle),
        tau=mean_tau(timing.scores, oracle),
        times_card=_against(YARDSTICK, timing, rounds),
        times_sentence_transformers=_against(SENTENCE_TRANSFORMERS, timing, rounds),
        rounds_s=timing.seconds,
    )


def _against(other: str, timing: Timing, rounds: dict[str, list[float]]) -> tuple[float, float] | None:
    if other not in rounds:
        return None
    ratio: Spread = times_faster(timing.seconds, rounds[other])
    return ratio.median, ratio.range


def write(report: msgspec.Struct, path: Path) -> None:
    """Write a report as JSON, completely or not at all. Raises InputError."""
    with atomic_write(path) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
