"""Measure rerank servers under Poisson load: how long a request takes from its arrival, the slowest ones included.

    python -m benchmarks.poisson ours=http://localhost:9281/rerank other=http://localhost:7997/rerank --rate 5

Requests arrive at random times that do not wait for answers, so a server that stalls delays all that come meanwhile,
and their wait counts. The servers take turns in blocks of a tenth of the requests, with the same texts and the same
arrivals. Any server of the field's common shape can be named (`query` and `documents`: vLLM, SGLang, Infinity,
Jina, Cohere, Voyage); TEI's takes `--field texts`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

from benchmarks.running import percentile, queries, texts

BLOCKS = 10
SHARES = (0.5, 0.99, 0.999)


@dataclass(slots=True)
class Measured:
    """The milliseconds of a server's answers from their requests' arrivals, and the other outcomes by name."""

    milliseconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


def arrivals(rate: float, count: int, draw: random.Random) -> list[float]:
    """Return the seconds at which so many requests arrive, `rate` a second on average."""
    return list(itertools.accumulate(draw.expovariate(rate) for _ in range(count)))


def bodies(passages: int, words: int, name: str, model: str | None) -> Iterator[dict[str, Any]]:
    """Yield requests whose passages have about so many words, without end; no two have a passage in common."""
    known = list(texts(2000, words))
    draw = random.Random(3)  # noqa: S311  not a secret
    for number, query in enumerate(queries()):
        documents = [f"{number} {text}" for text in draw.sample(known, passages)]
        yield {"query": query, name: documents, **({"model": model} if model else {})}


async def block(url: str, requests: Sequence[dict[str, Any]], rate: float, seed: int, measured: Measured) -> None:
    """Send requests at their times, and wait for all of their answers."""
    times = arrivals(rate, len(requests), random.Random(seed))  # noqa: S311  not a secret
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()

        async def send(body: dict[str, Any], at: float) -> None:
            await asyncio.sleep(began + at - time.perf_counter())
            try:
                async with session.post(url, json=body) as response:
                    await response.read()
                outcome = "" if response.status == HTTPStatus.OK else f"HTTP {response.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                outcome = type(error).__name__
            if outcome:
                measured.failures[outcome] += 1
            else:
                measured.milliseconds.append(1000 * (time.perf_counter() - began - at))

        await asyncio.gather(*(send(body, at) for body, at in zip(requests, times, strict=True)))


async def measure(
    servers: dict[str, str], made: Iterator[dict[str, Any]], *, rate: float, requests: int
) -> dict[str, Measured]:
    """Let the servers take turns at blocks of requests; the first block is not counted, for servers warm up."""
    found = {name: Measured() for name in servers}
    size = max(1, requests // BLOCKS)
    for number in range(BLOCKS + 1):
        same = list(itertools.islice(made, size))
        for name, url in servers.items():
            await block(url, same, rate, number, found[name] if number else Measured())
    return found


def row(name: str, one: Measured) -> str:
    """Return a server's line of the table."""
    told = ", ".join(f"{count} × {what}" for what, count in one.failures.items()) or "0"
    if not one.milliseconds:
        return f"| {name} | 0 | {told} | | | | |"
    values = (*(percentile(one.milliseconds, share) for share in SHARES), max(one.milliseconds))
    return f"| {name} | {len(one.milliseconds)} | {told} | {' | '.join(f'{value:.0f}' for value in values)} |"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=URL")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second")
    parser.add_argument("--requests", type=int, default=1000, help="requests to each server")
    parser.add_argument("--passages", type=int, default=10, help="passages of a request")
    parser.add_argument("--words", type=int, default=60, help="words of a passage, about")
    parser.add_argument("--field", default="documents", help="the field of the passages")
    parser.add_argument("--model", help="the field `model`, for servers that ask for it")
    options = parser.parse_args()
    servers = dict(one.partition("=")[::2] for one in options.servers)
    made = bodies(options.passages, options.words, options.field, options.model)
    found = asyncio.run(measure(servers, made, rate=options.rate, requests=options.requests))
    out = sys.stdout.write
    out(f"{options.rate:g} requests a second of {options.passages} passages; load {os.getloadavg()[0]:.1f}\n\n")
    out("| server | answers | failures | p50, ms | p99 | p99.9 | largest |\n|" + " --- |" * 7 + "\n")
    for name, one in found.items():
        out(f"{row(name, one)}\n")


if __name__ == "__main__":
    main()
