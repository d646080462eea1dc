"""Measure the queue: a scripted scorer of known speed, called by one caller and by 64, with 100 and 1000 passages.

    python -m benchmarks.scheduling

The scorer has its own process, as in the service; it sleeps for the time that its tokens take.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.identity_scorer import Fixed
from sidecar.core.candidates import Passage, Score
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.score_mapping import Mapping
from sidecar.serving.scorer.client import ScorerClient
from sidecar.serving.scorer.terms import Terms
from sidecar.serving.scorer.worker import run

TOKENS = 100  # of each passage
SECONDS_PER_TOKEN = 1e-6
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Lengths:
    """A tokenised query of which only the lengths are known."""

    lengths: Sequence[int]

    def part(self, start: int, stop: int) -> Lengths:
        """Return some of the passages."""
        return Lengths(self.lengths[start:stop])


class Timed:
    """Takes a time in proportion to its tokens, in whatever batches they come."""

    name = engine_name = "timed"
    mapping = Mapping()
    manifest = Manifest()

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Give each passage the same score, in its time."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> Lengths:
        """Give every passage `TOKENS` tokens."""
        del query
        return Lengths([TOKENS] * len(passages))

    def score_all(self, readings: Sequence[Lengths]) -> list[list[Score]]:
        """Give each passage the same score, in its time."""
        time.sleep(SECONDS_PER_TOKEN * sum(sum(reading.lengths) for reading in readings))
        return [[Score(1.0)] * len(reading.lengths) for reading in readings]


async def throughput(scorer: ScorerClient, callers: int, seconds: float) -> float:
    """Return the passages a second that so many callers get together, each sending 100 again and again."""
    scored = 0
    until = time.monotonic() + seconds

    async def call(name: str) -> None:
        nonlocal scored
        while time.monotonic() < until:
            await scorer.score("m", "query", _passages(100), Terms(600, caller=name))
            scored += 100

    started = time.monotonic()
    await asyncio.gather(*(call(str(number)) for number in range(callers)))
    return scored / (time.monotonic() - started)


async def latency(scorer: ScorerClient, passages: int) -> float:
    """Return the seconds until so many passages are scored; the median of 9."""
    times = []
    for _ in range(9):
        started = time.monotonic()
        await scorer.score("m", "query", _passages(passages), Terms(600))
        times.append(time.monotonic() - started)
    return statistics.median(times)


async def blocked(scorer: ScorerClient) -> float:
    """Return the seconds until 10 passages are scored while a request of 1000 is always running; the median of 9."""

    async def keep_busy() -> None:
        while True:
            await scorer.score("m", "query", _passages(1000), Terms(600))

    busy = asyncio.create_task(keep_busy())
    await asyncio.sleep(0.1)
    try:
        return await latency(scorer, 10)
    finally:
        busy.cancel()


def _passages(count: int) -> list[Passage]:
    return [Passage("", "word " * TOKENS)] * count


async def measure(seconds: float, slice_seconds: float) -> None:
    """Print a line for each round."""
    command = (sys.executable, "-m", "benchmarks.scheduling", "--scorer")
    scorer = ScorerClient({"m": ModelSpec(model="m")}, command=command, slice_seconds=slice_seconds)
    await scorer.start()
    try:
        for number in range(ROUNDS):
            one, many = await throughput(scorer, 1, seconds), await throughput(scorer, 64, seconds)
            hundred, thousand = await latency(scorer, 100), await latency(scorer, 1000)
            ten, waiting = await latency(scorer, 10), await blocked(scorer)
            sys.stdout.write(
                f"{number + 1}: passages/s 1 caller {one:.0f}, 64 callers {many:.0f} ({many / one:.2f} x); "
                f"100 passages {hundred * 1000:.1f} ms, 1000 {thousand * 1000:.1f} ms ({thousand / hundred:.2f} x); "
                f"10 passages {ten * 1000:.1f} ms, beside 1000 {waiting * 1000:.1f} ms\n"
            )
    finally:
        await scorer.stop()


def main() -> None:
    """Measure, or run as the scorer that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scorer", action="store_true", help="be the scorer's process")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each throughput")
    parser.add_argument("--slice-seconds", type=float, default=0.25, help="as the service's setting")
    asked = parser.parse_args()
    if asked.scorer:
        run(lambda load: Fixed(load.models, Timed))
    else:
        asyncio.run(measure(asked.seconds, asked.slice_seconds))


if __name__ == "__main__":
    main()
