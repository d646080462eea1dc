"""Compare one scorer process with two: a scripted scorer that sleeps, and one that keeps a core busy.

    python -m benchmarks.several_processes [--seconds 3] [--rounds 5] [--kind sleep|compute]

The scorer takes a time in proportion to its tokens. One process and two take turns, so that both run under the same
load. Of each, the passages a second that 16 callers get together, who send 100 passages again and again, and the time
of a lone request of 100 passages. Two processes that compute need two idle cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.identity_scorer import Fixed
from benchmarks.scheduling import TOKENS, Lengths, Timed
from sidecar.core.candidates import Passage, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.scorer.client import ScorerClient
from sidecar.serving.scorer.pool import ScorerPool
from sidecar.serving.scorer.process import ScorerProcess
from sidecar.serving.scorer.terms import Terms
from sidecar.serving.scorer.worker import run

MICROSECONDS_PER_TOKEN = 20
CALLERS, PASSAGES = 16, 100
KINDS = ("sleep", "compute")


class Busy(Timed):
    """Takes the time of its tokens from a core: as much processor time, however often the process is interrupted."""

    def score_all(self, readings: Sequence[Lengths]) -> list[list[Score]]:
        """Give each passage the same score, in its time."""
        tokens = sum(sum(reading.lengths) for reading in readings)
        until = time.thread_time() + 1e-6 * MICROSECONDS_PER_TOKEN * tokens
        while time.thread_time() < until:
            pass
        return [[Score(1.0)] * len(reading.lengths) for reading in readings]


class Sleeping(Timed):
    """Takes the time of its tokens from no core, as a device of its own does."""

    def score_all(self, readings: Sequence[Lengths]) -> list[list[Score]]:
        """Give each passage the same score, in its time."""
        time.sleep(1e-6 * MICROSECONDS_PER_TOKEN * sum(sum(reading.lengths) for reading in readings))
        return [[Score(1.0)] * len(reading.lengths) for reading in readings]


Scorer = ScorerClient | ScorerPool


def scorers(kind: str) -> tuple[ScorerClient, ScorerPool]:
    """Make a scorer of one process, and one of two."""
    models = {"m": ModelSpec(model="m")}
    command = (sys.executable, "-m", "benchmarks.several_processes", "--scorer", kind)
    two = [ScorerProcess(models, command=command, device="cpu") for _ in range(2)]
    return ScorerClient(models, command=command), ScorerPool(two, partial(CircuitBreaker, 5, 10.0))


async def throughput(scorer: Scorer, seconds: float) -> float:
    """Return the passages a second that all callers get together."""
    scored = 0
    until = time.monotonic() + seconds

    async def call(name: str) -> None:
        nonlocal scored
        while time.monotonic() < until:
            found = await scorer.score("m", "query", _passages(), Terms(600, caller=name))
            scored += len(found)

    started = time.monotonic()
    await asyncio.gather(*(call(str(number)) for number in range(CALLERS)))
    return scored / (time.monotonic() - started)


async def latency(scorer: Scorer) -> float:
    """Return the seconds of a lone request; the median of 9."""
    times = []
    for _ in range(9):
        started = time.monotonic()
        await scorer.score("m", "query", _passages(), Terms(600))
        times.append(time.monotonic() - started)
    return statistics.median(times)


def _passages() -> list[Passage]:
    return [Passage("", "word " * (TOKENS * 4 // 5))] * PASSAGES


async def measure(kind: str, seconds: float, rounds: int) -> None:
    """Print a line for each round, and the medians of the ratios."""
    one, two = scorers(kind)
    await asyncio.gather(one.start(), two.start())
    more, faster = [], []
    try:
        for number in range(rounds):
            alone, both = await throughput(one, seconds), await throughput(two, seconds)
            slow, fast = await latency(one), await latency(two)
            more.append(both / alone)
            faster.append(slow / fast)
            sys.stdout.write(
                f"{kind} {number + 1}: passages/s {alone:.0f} with one, {both:.0f} with two ({more[-1]:.2f} x); "
                f"a lone request {1000 * slow:.0f} ms, {1000 * fast:.0f} ms ({faster[-1]:.2f} x)\n"
            )
    finally:
        await asyncio.gather(one.stop(), two.stop())
    sys.stdout.write(
        f"{kind}: {statistics.median(more):.2f} x the passages a second, a lone request "
        f"{statistics.median(faster):.2f} x as fast; load {os.getloadavg()[0]:.1f}\n"
    )


def main() -> None:
    """Measure, or run as the scorer that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scorer", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each throughput")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", choices=KINDS, help="one of the two scorers alone")
    asked = parser.parse_args()
    if asked.scorer:
        made = Busy if asked.scorer == "compute" else Sleeping
        run(lambda load: Fixed(load.models, made))
        return
    for kind in (asked.kind,) if asked.kind else KINDS:
        asyncio.run(measure(kind, asked.seconds, asked.rounds))


if __name__ == "__main__":
    main()
